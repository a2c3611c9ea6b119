"""A task as a checkpoint carries it: plain data, compared with what the data ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

from tlda.errors import UserError


class Named(Protocol):
    """What has named outputs, as a task has."""

    @property
    def outputs(self) -> Sequence[str]: ...


def described(task: object) -> dict[str, Any]:
    """A task as plain data: its class and its options; tasks among these too."""
    cls = type(task)
    options: dict[str, Any] = {field.name: _plain(getattr(task, field.name)) for field in fields(task)} if is_dataclass(task) else {}
    sources = getattr(task, "sources", ())
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": options, **({"sources": list(sources)} if sources else {})}


def _plain(value: Any) -> Any:
    if hasattr(value, "description"):
        return value.description()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def refuse_other_task(task: Named, other: Named) -> None:
    """Raise :class:`UserError` where ``other``, of a checkpoint, has other outputs than ``task``, which is that of the data."""
    if type(other) is not type(task):
        raise UserError(f"the checkpoint was trained for {type(other).__name__}, the data ask for {type(task).__name__}: use its own data")
    if len(other.outputs) != len(task.outputs):
        raise UserError(f"the checkpoint has {len(other.outputs)} classes, the data {len(task.outputs)}: use the data it was trained on")
    for number, (name, own) in enumerate(zip(other.outputs, task.outputs, strict=True)):
        if str(name) != str(own):
            raise UserError(
                f"class {number} is '{name}' in the checkpoint and '{own}' in the data: use the data it was trained on, with its "
                "classes in the same order"
            )
