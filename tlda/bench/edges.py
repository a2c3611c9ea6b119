"""Searches that end at an edge of what they tried, so that a better value may lie beyond."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tlda.bench.checks import is_number
from tlda.bench.summary import Row
from tlda.bench.table import Table
from tlda.config.protocol import Lines, lines

FEWEST = 3
"""The fewest values of which one can be in the middle."""


def edge(value: object, tried: Iterable[object]) -> str:
    """Say that ``value`` is the least or the most of at least three numbers that were ``tried``; empty where it is in their middle."""
    numbers = {float(v) for v in tried if is_number(v) and isinstance(v, (int, float))}
    if len(numbers) < FEWEST or not isinstance(value, (int, float)) or min(numbers) < value < max(numbers):
        return ""
    return "the least tried" if value <= min(numbers) else "the most tried"


def beyond(value: float, tried: Sequence[float], log: bool) -> float:
    """The number to try next beyond ``value``, which is an edge of what was ``tried``: as far from it as its neighbour is, or twice as far.

    The distance is a factor where the search is logarithmic, at least 2, so that a few steps come far.
    """
    nearest = min((other for other in tried if other != value), key=lambda other: abs(other - value))
    if log:
        factor = max(value / nearest, nearest / value, 2.0)
        return value * factor if value > nearest else value / factor
    return value + 2.0 * (value - nearest)


def grids(table: Table, rows: Sequence[Row]) -> list[str]:
    """Name the rows that are the best of a grid and at its edge, in a table whose rows are settings to select.

    A grid is rows that differ in one number of the model alone, three or more.
    """
    task = next(iter(table.tasks))
    found = {row.method: lines(table.resolved[task, row.method]) for row in rows if row.selection.values}
    values = {row.method: row.selection.mean for row in rows if row.selection.values}
    said: dict[str, list[str]] = {}
    for option in sorted({name for own in found.values() for name, value in own.items() if name.startswith("model.") and is_number(value)}):
        for group in _groups(found, option):
            best = max(group, key=lambda method: values[method] if math.isfinite(values[method]) else -math.inf)
            if where := edge(group[best], group.values()):
                said.setdefault(best, []).append(f"{option.rsplit('.', 1)[-1]} {group[best]:g}, {where}")
    return [f"{table.label(method)} ({'; '.join(said[method])})" for method in table.methods if method in said]


def _groups(found: Mapping[str, Lines], option: str) -> list[dict[str, Any]]:
    """The rows that differ in ``option`` alone: the value of each by the name of the row."""
    groups: dict[str, dict[str, Any]] = {}
    for method, own in found.items():
        if option in own:
            rest = repr(sorted((name, repr(value)) for name, value in own.items() if name != option))
            groups.setdefault(rest, {})[method] = own[option]
    return list(groups.values())
