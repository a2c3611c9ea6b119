"""Result files: one per finished cell, written by rename; a run that goes on looks for them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from tlda.bench.schema import fault
from tlda.bench.table import METRIC, Cell
from tlda.config.protocol import by_name, differing, digest, lines, without_nulls
from tlda.writing import write_text

Results = dict[tuple[str, str, int], dict[str, Any]]


def write_result(folder: Path, cell: Cell, result: dict[str, Any]) -> None:
    """Write the result of ``cell`` completely or not at all."""
    write_text(folder / f"{cell.name}.json", json.dumps(result, indent=1, sort_keys=True) + "\n")


def claim(folder: Path, cell: Cell, timeout: float) -> FileLock:
    """The lock of ``cell`` and its twins. The process that runs one of them holds it; it is free again when the process ends.

    Waits ``timeout`` seconds, -1 for ever.
    """
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    run = digest([cell.key, _where(cell.resolved)])
    return FileLock(folder / "locks" / f"{cell.method}-{cell.seed}-{run}.lock", timeout=timeout)


def read_result(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """The result of ``cell``, or None where there is no complete one with these settings."""
    found, why = _read(folder, cell)
    return {**found, "metric": cell.metric} if not why and found["key"] == cell.key else None


def _read(folder: Path, cell: Cell) -> tuple[dict[str, Any], str]:
    """The contents of the file of ``cell``, of any settings, and the reason why they are no result (empty where they are one)."""
    try:
        found = json.loads((folder / f"{cell.name}.json").read_text(encoding="utf-8"))
    except OSError as error:
        return {}, f"it cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return {}, "it is no JSON"
    return found, fault(found, cell)


def shown(result: dict[str, Any]) -> float:
    """The value of a ``result`` that the table shows: a fraction, 0 to 1."""
    return float(result["metrics"][result.get("metric", METRIC)])


def twin(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """The result of a cell of another task that is the same run. Such tasks differ only in the metric that the table shows."""
    for path in folder.glob(f"{cell.method}-*-{cell.seed}.json"):
        other = replace(cell, task=path.stem.removeprefix(f"{cell.method}-").removesuffix(f"-{cell.seed}"))
        found = read_result(folder, other)
        # A key does not say where the data lie, and two tasks may be two folders.
        if found and _where(found["config"]) == _where(cell.resolved):
            return {**found, "task": cell.task}
    return None


def _where(config: dict[str, Any]) -> Any:
    """The options of the data of ``config``, including those of their location."""
    return without_nulls(by_name(config.get("data")))


STAGES = "model.init_from", "data.translated"
"""The options that a first stage or a translation sets in the cells that depend on it."""


def left_out(folder: Path, cells: list[Cell]) -> list[str]:
    """The reasons why result files of ``cells`` do not count, each once with the files that it holds for."""
    reasons: dict[str, list[str]] = {}
    for cell in cells:
        if (folder / f"{cell.name}.json").exists() and not read_result(folder, cell):
            reasons.setdefault(_why_left_out(folder, cell), []).append(f"{cell.name}.json")
    return [f"{folder}: {len(names)} left out, {why}: {', '.join(names[:3])}{', …' * (len(names) > 3)}" for why, names in reasons.items()]


def _why_left_out(folder: Path, cell: Cell) -> str:
    result, why = _read(folder, cell)
    if why:
        return f"damaged ({why})"
    # What the stages before it filled in is no setting of its own.
    configs = result["config"], cell.resolved
    found, wanted = ({name: value for name, value in lines(some).items() if not name.startswith(STAGES)} for some in configs)
    return f"measured under other settings ({differing(found, wanted) or 'another seed, first stage or version of the code'})"


def read_results(folder: Path, cells: list[Cell]) -> Results:
    """The results of those ``cells`` that are finished, by (method, task, seed)."""
    found = {(cell.method, cell.task, cell.seed): read_result(folder, cell) for cell in cells}
    return {name: result for name, result in found.items() if result is not None}
