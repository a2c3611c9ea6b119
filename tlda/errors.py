"""Errors that a user can act on: one sentence that says what was wrong, where, and what to do."""

from __future__ import annotations

import argparse
import difflib
import inspect
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


class UserError(Exception):
    """Something that the user can put right. The command line prints the sentence alone, without a traceback."""

    def __init__(self, sentence: str) -> None:
        # A loader makes the error of its worker process anew, from a message that is that process's traceback.
        in_worker = sentence.startswith("Caught UserError in ")
        super().__init__(sentence.rpartition("UserError: ")[2].strip() if in_worker else sentence)


def lacking(what: str, packages: str, extra: str) -> UserError:
    """The error where ``what`` needs ``packages`` that are not installed, and that an ``extra`` of tlda brings."""
    return UserError(f"{what} needs {packages}, which is not installed: pip install 'tlda[{extra}]'")


class Note(UserWarning):
    """A warning of tlda's own: the command line prints its sentence alone, once."""


def warn(sentence: str) -> None:
    """Warn of what a run goes on in spite of, see :class:`Note`; Python names the place that called the caller."""
    warnings.warn(sentence, Note, stacklevel=3)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print each of tlda's own warnings within the block as one line, once, and by one of several processes."""
    said: set[str] = set()
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, Note):
            before(message, category, *place, **more)
        elif str(message) not in said and os.environ.get("LOCAL_RANK", "0") == "0":
            said.add(str(message))
            print(f"tlda: {message}", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=Note)  # what is said once is counted here
        warnings.showwarning = show
        yield


def near(name: str, names: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the nearest of ``names``, or all of them where none is near."""
    known = sorted(names)
    lowered = {candidate.lower(): candidate for candidate in known if candidate != name}
    match = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return f"; did you mean '{lowered[match[0]]}'?" if match else f"; known: {', '.join(known)}"


def subclasses(base: type) -> dict[str, type]:
    """Every known subclass of ``base`` that can be made, by its short name."""
    found: dict[str, type] = {}
    children: list[type] = base.__subclasses__()
    for child in children:
        found |= ({} if _is_base(child) else {child.__name__: child}) | subclasses(child)
    return found


def _is_base(cls: type) -> bool:
    return cls.__name__.startswith("_") or inspect.isabstract(cls) or (cls.__doc__ or "").startswith("The base of ")


class Arguments(argparse.ArgumentParser):
    """A command's parser, whose errors are a :class:`UserError`."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see `{self.prog} --help`")


def positive(text: str) -> int:
    """A whole number above zero, from a command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)
