"""Run finished cells once more, and compare their results with the files."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tlda.bench.machine import affordable, kind, this_machine
from tlda.bench.results import Results, read_results
from tlda.bench.table import Cell, Table, merge
from tlda.documents.grid import Document, Grid
from tlda.errors import UserError

Run = Callable[[list[Cell], Path], dict[str, str]]
"""Runs cells into a folder, and returns the failures: the name of a cell and the reason."""


def verify(table: Table, cells: Sequence[Cell], count: int, seed: int, run: Run) -> tuple[Document, dict[str, str]]:
    """Rerun ``count`` finished ones of ``cells``, drawn by ``seed``, in a temporary folder; return the differences, and the failures.

    Where this machine would emulate their bfloat16 they run in float32, and the document says so.

    Raises:
        UserError: none of ``cells`` is finished.
    """
    finished = read_results(table.results, list(cells))
    done = [cell for cell in cells if _place(cell) in finished]
    if not done:
        raise UserError(f"no cell of {table.path} is finished, so that there is nothing to verify: run `tlda bench {table.path}` first")
    drawn = random.Random(seed).sample(done, min(count, len(done)))
    with TemporaryDirectory(prefix="tlda-verify-") as folder:
        failed = run([_tried(cell) for cell in drawn], Path(folder))
        again = read_results(Path(folder), drawn)
        failed = {name: why.partition(f" ({folder}")[0] for name, why in failed.items()}  # the log there goes with the folder
    said = [f"In {p}, since this machine would emulate bfloat16." for p in sorted({p for c in drawn for p in affordable(c).values()})]
    return [f"{table.title}: {len(again)} of {len(done)} finished cells, run again", *said, *_blocks(drawn, finished, again)], failed


def _tried(cell: Cell) -> Cell:
    """``cell``, and those that it starts from, at the precision that this machine computes in; the key stays that of the file."""
    first, translator = (part and _tried(part) for part in (cell.first, cell.translator))
    return replace(cell, config=merge(cell.config, {"trainer": affordable(cell)}), first=first, translator=translator)


def _place(cell: Cell) -> tuple[str, str, int]:
    return cell.method, cell.task, cell.seed


def _blocks(cells: Sequence[Cell], finished: Results, again: Results) -> Iterator[str | Grid]:
    """The differences of the cells, grouped by the machine of their files."""
    machines: dict[str, list[Cell]] = {}
    for cell in cells:
        if _place(cell) in again:
            machines.setdefault(kind(finished[_place(cell)].get("machine")), []).append(cell)
    for machine, own in machines.items():
        here = sorted({kind(again[_place(cell)].get("machine", this_machine())) for cell in own})
        yield f"On {machine}, and again on {', '.join(here)}:"
        rows = [[cell.name, *line] for cell in own for line in compared(finished[_place(cell)], again[_place(cell)])]
        yield Grid(["cell", "what", "file", "again", "difference"], rows, name=machine)


def compared(before: dict[str, Any], after: dict[str, Any]) -> list[list[str]]:
    """Lines of (what, in the file, run again, difference): each metric that differs, how many are equal, and the confusion matrix."""
    names = [*dict.fromkeys((*before["metrics"], *after["metrics"]))]
    values = {name: (before["metrics"].get(name), after["metrics"].get(name)) for name in names}
    unequal = {name: pair for name, pair in values.items() if not _equal(*pair)}
    lines = [[name, *map(_number, pair), _difference(*pair)] for name, pair in unequal.items()]
    equal = len(names) - len(unequal)
    lines.append([f"{equal} of {len(names)} metrics", "", "", "bit-equal"])
    if before.get("confusion") and after.get("confusion"):
        lines.append(["confusion", "", "", _confusion(before["confusion"], after["confusion"])])
    return lines


def _equal(before: float | None, after: float | None) -> bool:
    return before == after or (before is not None and after is not None and math.isnan(before) and math.isnan(after))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.6f}"


def _difference(before: float | None, after: float | None) -> str:
    return "only one has it" if before is None or after is None else f"{after - before:+.2e}"


def _confusion(before: list[list[float]], after: list[list[float]]) -> str:
    """A text that says that the counts are equal, or at least how many rows are predicted differently."""
    if [len(row) for row in before] != [len(row) for row in after]:
        return "of other classes"
    moved = sum(abs(b - a) for one, other in zip(before, after, strict=True) for b, a in zip(one, other, strict=True)) / 2
    return f"{moved:g} rows moved" if moved else "equal"
