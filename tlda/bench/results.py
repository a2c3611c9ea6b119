"""Result files: one finished cell is one file, written by rename; to resume is to find it."""

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
    """Write the result of ``cell``, whole or not at all."""
    write_text(folder / f"{cell.name}.json", json.dumps(result, indent=1, sort_keys=True) + "\n")


def claim(folder: Path, cell: Cell, timeout: float) -> FileLock:
    """The lock of ``cell`` and its twins, which whoever runs one holds, and which a killed process lets go.

    Waits ``timeout`` seconds, -1 for ever.
    """
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    run = digest([cell.key, _where(cell.resolved)])
    return FileLock(folder / "locks" / f"{cell.method}-{cell.seed}-{run}.lock", timeout=timeout)


def read_result(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """The result of ``cell``, or None where there is none that is whole and made with these settings."""
    found, why = _read(folder, cell)
    return {**found, "metric": cell.metric} if not why and found["key"] == cell.key else None


def _read(folder: Path, cell: Cell) -> tuple[dict[str, Any], str]:
    """What the file of ``cell`` holds, under whatever settings, and why that is no result; no reason where it is one."""
    try:
        found = json.loads((folder / f"{cell.name}.json").read_text(encoding="utf-8"))
    except OSError as error:
        return {}, f"it cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return {}, "it is no JSON"
    return found, fault(found, cell)


def shown(result: dict[str, Any]) -> float:
    """What the table shows of a ``result``: a share, 0 to 1."""
    return float(result["metrics"][result.get("metric", METRIC)])


def twin(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """The result of another task's cell that is the same run in all that decides it: such tasks differ in what the table shows of them."""
    for path in folder.glob(f"{cell.method}-*-{cell.seed}.json"):
        other = replace(cell, task=path.stem.removeprefix(f"{cell.method}-").removesuffix(f"-{cell.seed}"))
        found = read_result(folder, other)
        # A key does not say where the data lie, and two tasks may be two folders.
        if found and _where(found["config"]) == _where(cell.resolved):
            return {**found, "task": cell.task}
    return None


def _where(config: dict[str, Any]) -> Any:
    """The options of the data of ``config``, those included that say where they lie."""
    return without_nulls(by_name(config.get("data")))


STAGES = "model.init_from", "data.translated"
"""The options that a first stage, or a translation, sets in the cells that come after it."""


def left_out(folder: Path, cells: list[Cell]) -> list[str]:
    """Why each result file of ``cells`` that is there and does not count does not."""
    return [_why_left_out(folder, cell) for cell in cells if (folder / f"{cell.name}.json").exists() and not read_result(folder, cell)]


def _why_left_out(folder: Path, cell: Cell) -> str:
    path = folder / f"{cell.name}.json"
    result, why = _read(folder, cell)
    if why:
        return f"{path} is damaged; its cell runs again ({why})"
    # What the stages before it filled in is no setting of its own.
    configs = result["config"], cell.resolved
    found, wanted = ({name: value for name, value in lines(some).items() if not name.startswith(STAGES)} for some in configs)
    why = differing(found, wanted) or "another seed, first stage or version of the code"
    return f"{path} was measured under other settings and is left out: {why}"


def read_results(folder: Path, cells: list[Cell]) -> Results:
    """The results of those ``cells`` that are finished, by (method, task, seed)."""
    found = {(cell.method, cell.task, cell.seed): read_result(folder, cell) for cell in cells}
    return {name: result for name, result in found.items() if result is not None}
