"""Objects that remember the options that they were made with, so that a checkpoint can say how to make them again."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from tlda.options.limits import require_limits

Plain = dict[str, Any] | list[Any] | str | float | None
"""What JSON can hold."""


class NotPlainError(ValueError):
    """An option that no plain data describe."""


class Recorded:
    """The base of what a configuration can name. An object remembers its options; those of tlda's own classes must be in their ranges.

    They are taken in ``__new__``, which every subclass passes through once, whatever its ``__init__`` hands on.
    """

    _options: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls.__init__ is object.__init__ and (args or kwargs):
            raise TypeError(f"{cls.__name__}() takes no arguments")
        made = super().__new__(cls)
        names = list(inspect.signature(cls.__init__).parameters)[1:] if args else []
        options = {**dict(zip(names, args, strict=False)), **kwargs}
        if cls.__module__.startswith("tlda."):
            require_limits(cls.__name__, options)
        object.__setattr__(made, "_options", options)
        return made


def described(value: object, place: str = "it") -> Plain:
    """``value`` as plain data: of an object its class and the options that it was made with.

    Args:
        value: a :class:`Recorded` object, a dataclass, or plain data.
        place: what errors call it.

    Raises:
        NotPlainError: there is something else in it, which it names.
    """
    if isinstance(value, Recorded):
        cls = type(value)
        if "<locals>" in cls.__qualname__:
            raise NotPlainError(f"{cls.__name__} is a class within a function")
        options = {name: described(item, f"{name} of {cls.__name__}") for name, item in value._options.items() if name != "task"}
        return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": options}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: described(getattr(value, field.name), f"{field.name} of {place}") for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): described(item, f"{name} of {place}") for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(item, place) for item in value]
    if value is None or (isinstance(value, (bool, int, float, str)) and type(value).__module__ == "builtins"):
        return value
    if isinstance(value, Path):
        return str(value)
    raise NotPlainError(f"{place} is an object ({type(value).__name__}) that plain data cannot describe")
