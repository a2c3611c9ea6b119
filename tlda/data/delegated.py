"""Options of data that do nothing where others draw from them, which are refused."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from tlda.data.pair import DomainPair
from tlda.errors import UserError

DRAWN = (
    "batch_size",
    "steps",
    "eval_batch_size",
    "shots",
    "holdout",
    "balanced",
    "unlabelled_ratio",
    "validate_on",
    "labelled",
    "stream",
)
"""The options that say how rows are drawn, which do nothing in data that others draw from."""


def refuse_idle(options: Iterable[str], idle: DomainPair, place: str, who: DomainPair | None = None) -> None:
    """Raise :class:`UserError` where one of ``options`` of ``idle`` was given, which does nothing.

    Args:
        options: their names.
        idle: the data whose options they are.
        place: where such an option has to be given instead.
        who: the data whose option of that name is taken in its place; one of the same value is right.
    """
    for name in options:
        usual = [default(type(idle), name), *([getattr(who, name)] if who else [])]
        if (value := getattr(idle, name)) not in usual:
            raise UserError(f"{name} {value} of {type(idle).__name__} does nothing here: give it as {place}.{name}, or leave it out")


def default(cls: type, option: str) -> object:
    """The value that ``option`` of the data ``cls`` has where it is not given; an empty list where that is null."""
    signatures = (inspect.signature(vars(part)["__init__"]).parameters for part in cls.__mro__ if "__init__" in vars(part))
    value = next(parameters[option].default for parameters in signatures if option in parameters)
    return [] if option == "augment" and value is None else value


def refuse_translated(name: str, *parts: DomainPair) -> None:
    """Raise :class:`UserError` where one of ``parts`` has translations, which data called ``name`` do not mix in."""
    if any(part.translated is not None and part.translated.folder is not None for part in parts):
        raise UserError(f"--data.translated is for images themselves, such as those of Digits or Folders, not for {name}: leave it out")
