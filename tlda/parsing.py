"""One sentence from the command line's parser, with the near name, where it would print twenty lines."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable

from tlda.backbones import Backbone
from tlda.data.pair import Augment, DomainPair
from tlda.errors import near
from tlda.losses import Loss
from tlda.method import Method
from tlda.optim import Optim, Schedule

BASES: dict[str, type] = {
    "model": Method,
    "data": DomainPair,
    "backbone": Backbone,
    "plus": Loss,
    "optimizer": Optim,
    "schedule": Schedule,
    "augment": Augment,
}
"""What each option that names a class takes."""


def subclasses(base: type) -> dict[str, type]:
    """Every known subclass of ``base`` by its short name."""
    found: dict[str, type] = {}
    children: list[type] = base.__subclasses__()
    for child in children:
        found |= {child.__name__: child} | subclasses(child)
    return found


def options(cls: type) -> set[str]:
    """The options of ``cls``, those that it hands on to its base included."""
    names: set[str] = set()
    for part in cls.__mro__:
        if "__init__" in vars(part):
            parameters = inspect.signature(part.__init__).parameters.values()  # type: ignore[misc]
            names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names - {"self"}


def sentence(message: str, known: Iterable[str]) -> str:
    """What the parser's ``message`` means; ``known`` are the options of the command."""
    place = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    where = f" of --{place}" if place else ""
    if match := re.search(r"Option '([^']+)' is not accepted", message):
        paths = re.findall(r"given class_path '([^']+)'", message)
        module, _, name = paths[-1].rpartition(".")
        cls = getattr(importlib.import_module(module), name)
        return f"{cls.__name__} has no option '{match[1]}'{near(match[1], options(cls) - {'num_classes'})}"
    if match := re.search(r"Expected a dot import path string: (\S+)", message):
        base = BASES.get(place.split(".")[-1])
        return f"unknown class '{match[1]}'{where}{near(match[1], subclasses(base)) if base else ''}"
    if match := re.search(r"(?:Unrecognized|unrecognized) arguments: (?:--)?([^\s=]+)", message):
        return f"unknown option '--{match[1]}'{near(match[1], known)}"
    if match := re.search(r"arguments are required: ([^\n]+)", message):
        missing = ", ".join(
            f"--{place + '.' if place else ''}{re.sub('^[a-z]+[.](?=model|data)', '', name)}" for name in match[1].split(", ")
        )
        return f"missing {missing}: name it, or add a configuration such as -c experiments/base/digits.yaml"
    noise = ("Parser key", "Does not", "Subtypes", "Errors", "Problem", "Given")
    lines = [line.strip(" -") for line in message.splitlines() if line.strip() and not line.strip().startswith(noise)]
    detail = lines[0] if lines else message.splitlines()[0]
    return f"bad value{where}: {detail}" if place else message.splitlines()[0]
