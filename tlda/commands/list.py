"""``tlda list``: what can be named on the command line, and what it is."""

from __future__ import annotations

import inspect
import re

import tlda.data
import tlda.losses
import tlda.methods  # noqa: F401  (imported, so that their classes are known)
from tlda.config.classes import BASES
from tlda.errors import UserError, near, subclasses

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


def first_sentence(cls: type) -> str:
    """The first line of the docstring of ``cls``, without its markup."""
    return re.sub(r":\w+:|`", "", (inspect.getdoc(cls) or "").split("\n", 1)[0])


def show(args: list[str]) -> None:
    """Print the classes of the kinds in ``args``, or of all kinds, with the first line of their docstrings."""
    for kind in args or KINDS:
        if kind not in KINDS:
            raise UserError(f"there is no list of '{kind}'{near(kind, KINDS)}")
        print(f"{kind}:")
        for name, cls in sorted(subclasses(BASES[KINDS[kind]]).items()):
            print(f"  {name:<24} {first_sentence(cls)}")
