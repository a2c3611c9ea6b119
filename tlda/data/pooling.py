"""Domains that are several, pooled."""

from __future__ import annotations

from collections.abc import Sequence

from tlda.errors import UserError

Name = str | int
"""A name in a configuration, such as that of a domain or a column: in a file, 2019 is a number until it is made a text."""


def as_text(name: Name | None) -> str | None:
    """``name`` as a text; None where there is none."""
    return None if name is None else str(name)


def require_distinct(names: Sequence[str], option: str) -> None:
    """Raise :class:`UserError` where ``option`` names one of its ``names`` twice."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise UserError(f"{option} names '{name}' twice: name it once")


def require_apart(sources: Sequence[str], targets: Sequence[str]) -> None:
    """Raise :class:`UserError` where a domain is named twice, or one is among the ``sources`` and among the ``targets``.

    The same domains on both sides are a task without a shift, which may be meant.
    """
    require_distinct(sources, "--data.source")
    require_distinct(targets, "--data.target")
    shared = [name for name in targets if name in sources]
    if shared and set(sources) != set(targets):
        raise UserError(
            f"'{shared[0]}' is in --data.source and in --data.target, whose labels would be trained on: take it out of one of them"
        )
