"""The classes that an option can name, and the options of a class."""

from __future__ import annotations

import inspect

from tlda.backbones import Backbone
from tlda.config.names import BASES as NAMES
from tlda.data.augmenting import Augment
from tlda.data.pair import DomainPair
from tlda.finetuning import Tuning
from tlda.losses import Loss
from tlda.losses.weightings import Weighting
from tlda.method import Method
from tlda.optim import Optim, Schedule
from tlda.training.averaging import Average
from tlda.translation.cycle import Translator
from tlda.translation.generators import Generator

_TYPES = (Method, DomainPair, Backbone, Loss, Optim, Schedule, Weighting, Tuning, Average, Augment, Translator, Generator)

BASES: dict[str, type] = {option: {cls.__name__: cls for cls in _TYPES}[name] for option, name in NAMES.items()}
"""The base class of each option that names a class."""


def options(cls: type) -> set[str]:
    """The options of ``cls``, with those that it passes to its base class."""
    names: set[str] = set()
    for part in cls.__mro__:
        if "__init__" in vars(part):
            parameters = inspect.signature(vars(part)["__init__"]).parameters.values()
            names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names - {"self"}
