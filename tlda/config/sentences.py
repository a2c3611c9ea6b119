"""Turn the errors of the command line's parser, of twenty lines, into one sentence with the most similar name."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tlda.config.classes import BASES, options
from tlda.config.overlays import near_option
from tlda.errors import UserError, near, subclasses

LIST = "a list, as in [1,2]"
WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "dict": "a mapping", "list": LIST, "Sequence": LIST}
"""The name of a type in a sentence."""


@contextmanager
def explained(known: Iterable[str] = ()) -> Iterator[None]:
    """Turn errors of the parser, as it parses or makes the objects, into :class:`UserError`."""
    try:
        yield
    except argparse.ArgumentError as error:
        raise UserError(sentence(str(error), known)) from error
    except ValueError as error:
        # The parser tries each type of a union, and wraps what a class raised while it was made.
        ours = _ours(error)
        if ours is None and "Does not validate" not in str(error):
            raise
        raise UserError(str(ours) if ours else _bottom(error)) from error


def _chain(error: BaseException) -> list[BaseException]:
    """``error``, and what it came from."""
    chain = [error]
    while inner := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(inner)
    return chain


def _ours(error: BaseException) -> UserError | None:
    return next((link for link in _chain(error) if isinstance(link, UserError)), None)


def _bottom(error: BaseException) -> str:
    return f"these options cannot be put together: {_first_line(_chain(error)[-1])} (--debug shows where)"


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def sentence(message: str, known: Iterable[str]) -> str:
    """The meaning of the parser's ``message`` in one sentence; ``known`` are the options of the command."""
    place = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    if match := re.search(r"Option '([^']+)' is not accepted", message):
        cls = import_class(re.findall(r"given class_path '([^']+)'", message)[-1])
        return f"{cls.__name__} has no option '{match[1]}'{near(match[1], options(cls) - {'task'})}"
    if match := re.search(r"(?:Unrecognized|unrecognized) arguments: ([^\s=]+)", message):
        return f"unknown option '{match[1]}'{near_option(match[1].lstrip('-'), known)}"
    if match := re.search(r"arguments are required: ([^\n]+)", message):
        missing = ", ".join(
            f"--{place + '.' if place else ''}{re.sub('^[a-z]+[.](?=model|data)', '', name)}" for name in match[1].split(", ")
        )
        return f"missing {missing}: name it, or add a configuration such as -c base/digits"
    return _bad_class(message, place) or _bad_value(message, place)


def import_class(class_path: str) -> type[Any]:
    """The class at ``MODULE.CLASS``."""
    module, _, name = class_path.rpartition(".")
    cls: type[Any] = getattr(importlib.import_module(module), name)
    return cls


def _bad_class(message: str, place: str) -> str | None:
    where = f" of --{place}" if place else ""
    base = BASES.get(place.split(".")[-1])
    if match := re.search(r"Expected a dot import path string: (\S+)", message):
        return f"unknown class '{match[1]}'{where}{near(match[1], subclasses(base)) if base else ''}"
    if match := re.search(r"Import path does not correspond to a subclass of (\w+)", message):
        return f"'{_value(message)}'{where} is not a {match[1]}{near('', subclasses(base)) if base else ''}"
    if match := re.search(r"given class_path '([^']+)':\s+(?!Parser key)(\S.*)", message):
        return f"cannot import '{match[1]}'{where} ({match[2]}): name a class as MODULE.CLASS, from the folder that has MODULE.py"
    return None


def _value(message: str) -> str:
    """The value that the innermost type refused, which is the first that the message names."""
    match = re.search(r"(?:Got|Given) value: (.+?)(?:\. Got value: |$)", message, re.MULTILINE)
    return match[1] if match else ""


def _bad_value(message: str, place: str) -> str:
    innermost = re.split(r"(?:Got|Given) value: ", message)[0]
    if choices := re.findall(r"Expected a typing\.Literal\[(.+)\]", innermost):
        names = {name.strip(" '") for choice in choices for name in choice.split(",")}
        return f"bad value '{_value(message)}' of --{place}{near(_value(message), names)}"
    if kinds := re.findall(r"Expected a <class '(?:[\w.]+\.)?(\w+)'>", innermost):
        words = " or ".join(dict.fromkeys(WORDS.get(kind, kind) for kind in kinds if kind != "NoneType"))
        return f"bad value '{_value(message)}' of --{place}: it takes {words}"
    lines = [line.strip(" -") for line in message.splitlines() if line.strip() and not line.strip().startswith("Parser key")]
    return f"bad value of --{place}: {lines[0]}" if place else lines[0]
