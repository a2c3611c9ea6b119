"""``tlda list``: what can be named on the command line, and what it is."""

from __future__ import annotations

import re

from tlda.config.index import Source, doc, setting, subclasses
from tlda.config.names import BASES
from tlda.config.shipped import FOLDERS, shipped
from tlda.errors import UserError, near

KINDS = {
    "methods": "model",
    "losses": "plus",
    "tunings": "tuning",
    "backbones": "backbone",
    "data": "data",
    "augmentations": "augment",
    "generators": "generator",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "weightings": "weighting",
}


def first_sentence(cls: Source) -> str:
    """The first line of the docstring of ``cls``, without its markup."""
    return re.sub(r":\w+:|`", "", doc(cls).split("\n", 1)[0])


def listing(args: list[str]) -> None:
    """Print the classes of the kinds in ``args``, or of all kinds, with the first line of their docstrings.

    ``--setting NAME`` prints the methods that are made for one setting alone.
    """
    if set(args) & {"-h", "--help"}:
        named = ", ".join([*KINDS, *FOLDERS])
        print(
            "usage: tlda list [KIND]... [--setting SETTING]\n\nName what there is, with what it is.\n\n"
            f"kinds: {named}; by default all but the last three\nsettings of methods: {', '.join(sorted(settings()))}"
        )
        return
    kinds, chosen = _parsed(args)
    for kind in kinds or ([*KINDS] if chosen is None else ["methods"]):
        if kind in FOLDERS:
            print(f"{kind}:", *shipped(kind), sep="\n  ")
            continue
        if kind not in KINDS:
            raise UserError(f"there is no list of '{kind}'{near(kind, [*KINDS, *FOLDERS])}")
        if chosen is not None and kind != "methods":
            raise UserError(f"--setting is of methods, and not of {kind}: leave it out")
        print(f"{kind}:")
        for name, cls in sorted(subclasses(BASES[KINDS[kind]]).items()):
            if chosen in (None, setting(cls)):
                print(f"  {name:<24} {first_sentence(cls)}")


def settings() -> set[str]:
    """The settings that there is a method for."""
    return {setting(cls) for cls in subclasses(BASES["model"]).values()}


def _parsed(args: list[str]) -> tuple[list[str], str | None]:
    """The kinds in ``args``, and the setting; None where none is asked for."""
    words = [word for arg in args for word in (arg.split("=", 1) if arg.startswith("--setting=") else [arg])]
    if "--setting" not in words:
        return words, None
    place = words.index("--setting")
    chosen = words[place + 1] if place + 1 < len(words) else ""
    if chosen not in settings():
        raise UserError(f"there is no method for the setting '{chosen}'{near(chosen, settings())}")
    return words[:place] + words[place + 2 :], chosen
