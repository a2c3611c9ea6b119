"""The form of a result file. A file of another form is damaged, and its cell runs again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tlda.bench.table import Cell
from tlda.options.limits import is_finite

FRACTIONS = frozenset(("accuracy", "f1", "macro_f1", "exact_match", "h_score", "os_star", "unk", "os", "mean_iou", "dice"))
"""Metrics that lie in 0..1, by the last part of their names."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_range(name: str, value: Any) -> bool:
    """Whether ``value`` can be that of the metric ``name``: a fraction lies in 0..1, other metrics may have any value."""
    return _is_number(value) and (name.rsplit("/", 1)[-1] not in FRACTIONS or 0 <= value <= 1)


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(_in_range(name, number) for name, number in value.items())


def _is_history(value: Any) -> bool:
    """Whether ``value`` has the same metrics for each epoch, where a label-free one may be None."""
    if value is None:
        return True
    if not isinstance(value, list) or not all(isinstance(epoch, dict) and epoch.keys() == value[0].keys() for epoch in value):
        return False
    return all(
        _in_range(name, number) or (number is None and not name.startswith("oracle/")) for epoch in value for name, number in epoch.items()
    )


def _is_confusion(value: Any) -> bool:
    """Whether ``value`` is counts by true and predicted class, a square."""
    if value is None:
        return True
    if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == len(value) for row in value):
        return False
    return all(_is_number(count) and is_finite(count) and count >= 0 for row in value for count in row)


def _is_stream(value: Any) -> bool:
    """Whether ``value`` is the error of each part of a stream."""
    return value is None or (isinstance(value, list) and all(_is_number(error) and 0 <= error <= 1 for error in value))


def _is_config(value: Any) -> bool:
    if not isinstance(value, dict) or not all(isinstance(value.get(part), dict) for part in ("model", "data", "trainer")):
        return False
    return all(_is_text(value[part].get("class_path")) and isinstance(value[part].get("init_args"), dict) for part in ("model", "data"))


def _is_machine(value: Any) -> bool:
    """Whether ``value`` is a :class:`tlda.bench.machine.Machine`, as far as a table shows it."""
    if value is None:
        return True
    if not isinstance(value, dict) or not (value.get("gpu") is None or _is_text(value["gpu"])):
        return False
    return all(_is_text(value.get(name)) for name in ("processor", "instructions"))


SCHEMA: dict[str, tuple[Callable[[Any], bool], str]] = {
    "key": (_is_text, "a text"),
    "method": (_is_text, "a text"),
    "task": (_is_text, "a text"),
    "seed": (lambda value: type(value) is int, "a whole number"),
    "sees": (lambda value: isinstance(value, list) and bool(value) and all(map(_is_text, value)), "a list of texts"),
    "metrics": (_are_metrics, "numbers by name, with accuracies and F1 in 0..1"),
    "data": (_is_text, "a text"),
    "config": (_is_config, "a model, data and trainer"),
    "versions": (lambda value: isinstance(value, dict) and _is_text(value.get("torch")), "versions by package, torch among them"),
    "history": (_is_history, "metrics by epoch, the same of each"),
    "machine": (_is_machine, "a processor and its instruction set"),
    "stream": (_is_stream, "fractions"),
    "confusion": (_is_confusion, "counts by true and predicted class"),
}
"""The entries of a result file, each with the check of its value and its description."""

OPTIONAL = frozenset(("history", "confusion", "machine", "stream"))
"""The entries that files of earlier versions lack."""


def fault(found: object, cell: Cell) -> str:
    """The reason why ``found`` is not a result of ``cell`` under any settings; empty where it is one."""
    if not isinstance(found, dict):
        return "it is no mapping"
    for name, (holds, what) in SCHEMA.items():
        if name not in found and name not in OPTIONAL:
            return f"it has no '{name}'"
        if name in found and not holds(found[name]):
            return f"its '{name}' is not {what}"
    for name in ("method", "task", "seed"):
        if found[name] != getattr(cell, name):
            return f"it is of the {name} '{found[name]}'"
    value = found["metrics"].get(cell.metric, 0.0)
    return "" if is_finite(value) else f"its {cell.metric} is {value}"
