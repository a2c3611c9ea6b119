"""A bar for what takes long before a run begins."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def progress(what: str, items: Iterable[T], total: int) -> Iterable[T]:
    """``items``, of which there are ``total``, with a bar on the error stream where that is a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    return track(items, what, total=total, console=console, transient=True, disable=not console.is_terminal)
