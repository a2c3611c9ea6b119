"""The options that a command gives in files and arguments, in order, before any of them is parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tlda.config.overlays import read_yaml

FILES = ("c", "config")
"""The options that name a configuration file."""


def options(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The options of ``args`` without their dashes, such as ``model.plus+``, each with its value, or None where it has none."""
    for arg, following in zip(args, [*args, "--"][1:], strict=True):
        if re.match(r"-{1,2}[A-Za-z]", arg):
            name, given, value = arg.partition("=")
            yield name.lstrip("-"), value if given else None if re.match(r"-{1,2}[A-Za-z]|--$", following) else following


def values(args: Sequence[str], *names: str) -> list[str]:
    """The values that ``args`` give to the options ``names``, in order."""
    return [value for name, value in options(args) if name in names and value is not None]


def configurations(args: Sequence[str]) -> list[tuple[str, Any]]:
    """The configuration files of ``args``, each with its contents."""
    return [(path, read_yaml(path)) for path in values(args, *FILES)]


def last_of(name: str, args: Sequence[str]) -> str | None:
    """The value that the option ``name`` has in the end: the last one that a file or an argument gives."""
    found = None
    for option, value in options(args):
        if option == name:
            found = value
        elif option in FILES and value is not None:
            config = read_yaml(value)
            found = config.get(name) or found if isinstance(config, dict) else found
    return None if found is None else str(found)


def names_of(config: object, prefix: str = "") -> Iterator[str]:
    """The dotted names of the options that ``config`` has, as arguments name them: ``model.backbone.size``."""
    if not isinstance(config, dict):
        return
    for name, value in config.items():
        if name == "init_args":
            yield from names_of(value, prefix)
        elif name == "class_path":
            yield prefix.rstrip(".")
        else:
            yield f"{prefix}{name}"
            yield from names_of(value, f"{prefix}{name}.")


def name_alike(name: str, others: Sequence[str]) -> bool:
    """Whether one of ``others`` is ``name``, an option within it, or an option that contains it."""
    return any(name == other or name.startswith(f"{other}.") or other.startswith(f"{name}.") for other in others)
