"""The JSON that `tlda test --output` writes: metrics, accuracy per class, and confusion."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from tlda.training.measured import Measured
from tlda.writing import write_text


def outcome(method: Measured, metrics: Mapping[str, Tensor]) -> dict[str, Any]:
    """The results of a test as plain data. Every process calls it: the confusion is that of all of them.

    Accuracy per class and confusion are those of the target, and are left out where its rows have no classes or no labels. A number that is
    not finite is null, as is the accuracy of a class without a row.

    Args:
        method: the method, after the test.
        metrics: what the test measured, by name.
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    found: dict[str, Any] = {
        "method": type(method).__name__,
        "metrics": {name: value if math.isfinite(value) else None for name, value in numbers.items()},
    }
    counts, classes = method.measures.matrix(), list(method.measures.first.task.classes)
    return found if counts is None else found | {"accuracy_per_class": per_class(classes, counts), "confusion": confusion(classes, counts)}


def per_class(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> dict[str, float | None]:
    """The fraction of each class's rows that are right, in 0..1, from ``counts`` by true class; None where it has no row."""
    return {name: row[number] / sum(row) if sum(row) else None for number, (name, row) in enumerate(zip(classes, counts, strict=True))}


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """The ``counts`` with what their rows and columns are."""
    return {"classes": [*classes], "rows": "true class", "columns": "predicted class", "counts": [[*row] for row in counts]}


def write_outcome(path: str | Path, found: Mapping[str, Any]) -> None:
    """Write what :func:`outcome` gives to ``path``, whole or not at all."""
    write_text(Path(path), json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
