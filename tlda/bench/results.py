"""Result files: one finished cell is one file, written by rename; to resume is to find it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tlda.bench.table import Cell
from tlda.protocol import differing, lines

Results = dict[tuple[str, str, int], dict[str, Any]]


def write_result(folder: Path, cell: Cell, result: dict[str, Any]) -> None:
    """Write the result of ``cell``, whole or not at all."""
    path = folder / f"{cell.name}.json"
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_result(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """The result of ``cell``, or None where there is none that is whole and made with these settings."""
    path = folder / f"{cell.name}.json"
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        key = result["key"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        print(f"tlda: {path} is damaged; its cell runs again")
        return None
    if key == cell.key:
        return result
    why = differing(lines(result.get("config", {})), lines(cell.resolved)) or "another seed, first stage or version of the code"
    print(f"tlda: {path} was measured under other settings and is left out: {why}")
    return None


def read_results(folder: Path, cells: list[Cell]) -> Results:
    """The results of those ``cells`` that are finished, by (method, task, seed)."""
    found = {(cell.method, cell.task, cell.seed): read_result(folder, cell) for cell in cells}
    return {name: result for name, result in found.items() if result is not None}
