"""``tlda list``: what can be named on the command line, and what it is."""

from __future__ import annotations

import re

from tlda.config.index import Source, doc, subclasses
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


def show(args: list[str]) -> None:
    """Print the classes of the kinds in ``args``, or of all kinds, with the first line of their docstrings."""
    if set(args) & {"-h", "--help"}:
        kinds = ", ".join([*KINDS, *FOLDERS])
        print(f"usage: tlda list [KIND]...\n\nName what there is, with what it is.\n\nkinds: {kinds}; by default all but the last three")
        return
    for kind in args or KINDS:
        if kind in FOLDERS:
            print(f"{kind}:", *shipped(kind), sep="\n  ")
            continue
        if kind not in KINDS:
            raise UserError(f"there is no list of '{kind}'{near(kind, [*KINDS, *FOLDERS])}")
        print(f"{kind}:")
        for name, cls in sorted(subclasses(BASES[KINDS[kind]]).items()):
            print(f"  {name:<24} {first_sentence(cls)}")
