"""Result files that no training made."""

from __future__ import annotations

from typing import Any

from tlda.bench.table import Cell


def result_of(cell: Cell, accuracy: float = 0.5, **changes: Any) -> dict[str, Any]:
    """A whole result of ``cell`` with an ``accuracy`` on the target, and ``changes``."""
    part = {"class_path": "Some", "init_args": dict[str, Any]()}
    return {
        "key": cell.key,
        "method": cell.method,
        "task": cell.task,
        "seed": cell.seed,
        "sees": ["source"],
        "metrics": {"test/target/accuracy": accuracy},
        "data": cell.task,
        "config": cell.resolved or {"model": part, "data": part, "trainer": {}},
        "versions": {"torch": "2.14.0+cpu"},
    } | changes
