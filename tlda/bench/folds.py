"""The runs of a table that hold out one of their sources too, for the rule leave-one-domain-out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tlda.bench.table import Cell, Table, merge
from tlda.errors import UserError


def folds(table: Table) -> Table:
    """The table whose tasks are those of ``table`` without one of their sources, each of which measures that source instead of the target.

    It has no task where ``table`` asks for no ``leave_one_out``.

    Raises:
        UserError: a task has fewer than two named sources.
    """
    held = [(task, *fold) for task in table.tasks if table.leave_one_out for fold in _held_out(table, task)]
    tasks = {fold_of(task, name): merge(table.tasks[task], overlay) for task, name, overlay in held}
    return replace(table, tasks=tasks, metric={fold_of(task, name): table.shows(task) for task, name, _ in held}, leave_one_out=False)


def fold_of(task: str, source: str) -> str:
    """The name of the task that is ``task`` without a ``source``."""
    return f"{task}+{re.sub(r'[^-.0-9A-Za-z_]', '_', source)}"


def fold_cells(table: Table, within: Table) -> list[Cell]:
    """The cells of :func:`folds` of ``table`` that are of the methods, tasks and seeds of ``within``."""
    found = folds(table)
    return [c for c in found.cells() if c.method in within.methods and c.task.rpartition("+")[0] in within.tasks and c.seed in within.seeds]


def _held_out(table: Table, task: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """By each source of ``task``: the overlay that measures it and trains on the others."""
    place = _sources(table.config(table.baseline, task).get("data"), ("data",))
    if place is None:
        raise UserError(
            f"{table.path}: leave_one_out holds out one of several sources, and the task '{task}' has no list of them: give it one"
        )
    *names, sources = place
    for held in sources:
        overlay: dict[str, Any] = {"source": [source for source in sources if source != held], "target": held}
        for name in reversed(names):
            overlay = {name: overlay}
        yield str(held), overlay


def _sources(config: Any, names: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Where ``config``, which is at ``names``, has a list of sources, and that list; None where it has none."""
    if not isinstance(config, dict):
        return None
    if isinstance(config.get("source"), list) and len(config["source"]) > 1:
        return *names, config["source"]
    return next((found for name, value in config.items() if (found := _sources(value, (*names, name)))), None)
