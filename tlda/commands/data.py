"""``tlda data``: what a data set holds, and what the cache keeps."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from tlda.errors import Arguments, UserError, near

SUBCOMMANDS = {
    "check": "look through a data set or a folder of images before training on it",
    "cache": "list what was computed once and kept, or make room",
}

HELP = (
    "usage: tlda data SUBCOMMAND [OPTIONS]\n\nsubcommands:\n"
    + "\n".join(f"  {name:<6} {what}" for name, what in SUBCOMMANDS.items())
    + "\n\n`tlda data SUBCOMMAND --help` shows a subcommand's options."
)


def data(args: list[str]) -> None:
    """Run the command ``tlda data`` with ``args``, whose first is the subcommand."""
    if not args or args[0] in ("-h", "--help"):
        print(HELP)
    elif args[0] == "check":
        options = _check_arguments(args[1:])
        _require_subject(options.subject)
        from tlda.data.boxed_check import boxed, check_boxes
        from tlda.data.check import check  # with torch, which --help and a mistyped option need not wait for
        from tlda.data.masked_check import check_masks, masked

        if found := masked(options.subject, options.root):
            check_masks(*found, options.sheet)
        elif boxes := boxed(options.subject):
            check_boxes(*boxes, options.sheet)
        else:
            check(options.subject, options.root, options.sheet)
    elif args[0] == "cache":
        cache(args[1:])
    else:
        _unknown(args[0])


def _unknown(name: str) -> NoReturn:
    raise UserError(f"`tlda data` has no subcommand '{name}'{near(name, SUBCOMMANDS)}")


def cache(args: list[str]) -> None:
    """List the entries of the cache, or drop them: all, or those least recently used beyond a size."""
    options = _arguments(args)
    from tlda.data.cache import Entry, entries, parse_size, prune, size_limit
    from tlda.writing import cache_folder

    if options.clear or options.limit:
        dropped = prune(0 if options.clear else parse_size(options.limit, "--limit"))
        print(f"tlda: dropped {len(dropped)} entries, {size(sum(entry.size for entry in dropped))}")
    found: list[Entry] = entries()
    for entry in reversed(found):
        name = entry.path.relative_to(cache_folder()).with_suffix("")
        print(f"{size(entry.size):>9}  {age(entry.unused):>8}  {name.as_posix()}")
    total = size(sum(entry.size for entry in found))
    print(f"{total:>9}  in {len(found)} entries of {cache_folder()}, which keeps {size(size_limit())} (TLDA_CACHE_LIMIT)")


def _arguments(args: list[str]) -> argparse.Namespace:
    parser = Arguments(
        prog="tlda data cache", description="List the cache: size, time since the last use, and name. TLDA_CACHE says where it is."
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--clear", action="store_true", help="drop everything")
    which.add_argument("--limit", metavar="SIZE", help="drop the least recently used until the rest is within SIZE, such as 5GB")
    return parser.parse_args(args)


def _require_subject(name: str) -> None:
    """Raise :class:`UserError` where there is neither a folder nor a data set called ``name``, before anything is imported."""
    from tlda.config.index import parents, subclasses

    sets = {found for found, cls in subclasses("DomainPair").items() if {"Folders", "Masks"} & {parent.name for parent in parents(cls)[1:]}}
    places = (Path(name).expanduser(), Path(os.environ.get("TLDA_DATA") or "data") / name)
    if name not in sets and not any(place.is_dir() for place in places):
        raise UserError(f"there is no data set and no folder '{name}'{near(name, sets)}")


def _check_arguments(args: list[str]) -> argparse.Namespace:
    parser = Arguments(
        prog="tlda data check", description="Say what images a data set has, by domain and class, and what is wrong with them."
    )
    parser.add_argument(
        "subject",
        metavar="NAME_OR_FOLDER",
        help="a data set such as PACS, or a folder of DOMAIN/CLASS/*.jpg, or of DOMAIN/images and masks, or images and boxes",
    )
    parser.add_argument("--root", help="where a named data set lies; by default in TLDA_DATA, else in data")
    parser.add_argument("--sheet", type=Path, help="the picture that is written; by default NAME-sheet.png")
    return parser.parse_args(args)


def size(count: float) -> str:
    """A number of bytes, such as ``1.5 MB``."""
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GB"


def age(seconds: float) -> str:
    """A time, such as ``3 h``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
