"""Check the names in a command before anything is imported: options, files, classes of tlda and their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from tlda.config.given import FILES, options
from tlda.config.index import Source, subclasses, trainer_options
from tlda.config.index import options as options_of
from tlda.config.overlays import near_option, read_yaml, require_config
from tlda.errors import UserError, near
from tlda.training.named import find

BASES = {
    "model": "Method",
    "data": "DomainPair",
    "backbone": "Backbone",
    "images": "Backbone",
    "texts": "Backbone",
    "plus": "Loss",
    "optimizer": "Optim",
    "schedule": "Schedule",
    "weighting": "Weighting",
    "tuning": "Tuning",
    "augment": "Augment",
    "choices": "Augment",
    "strong": "Augment",
    "translator": "Translator",
    "generator": "Generator",
    "gan": "Optim",
    "average": "Average",
}
"""The base of the classes that an option takes, by the option's name."""

FROM_DATA = ("num_classes", "task")
"""Options of a method that come from the data."""


def known_options(command: str) -> list[str]:
    """The options that a configuration of ``command`` may have, such as ``model`` and ``trainer.max_epochs``."""
    own = {"predict": ["output", "inputs", "features"], "test": ["output"], "fit": ["wandb-checkpoints"]}.get(command, [])
    return ["seed_everything", "model", "data", "trainer", "ckpt_path", *own, *(f"trainer.{name}" for name in trainer_options())]


def require_names(args: Sequence[str]) -> None:
    """Check the names that ``args``, whose first is the subcommand, and their files give.

    Raises:
        UserError: a file cannot be read, or an option or one of tlda's classes is not there.
    """
    known = known_options(args[0])
    command = ["config", "help", "print_config", "model.help", "data.help", *known]
    seen: dict[str, Source | None] = {}
    for name, value in options(args[1:]):
        plain = name.removesuffix("+")
        if name in FILES and value is not None:
            config: Any = read_yaml(value)
            require_config(value, config, known)
            for part in ("model", "data"):
                _see(part, config.get(part), seen)
        elif name == "ckpt_path" and value is not None:
            find(value)
        elif plain.split(".")[0] in ("model", "data") and not plain.endswith(".help"):
            _see_option(plain, value, seen)
        elif plain not in (*command, "c", "h") and not (plain.startswith("trainer.") and ".".join(plain.split(".")[:2]) in known):
            raise UserError(f"unknown option '--{name}'{near_option(plain, command)}")


def _see_option(name: str, value: str | None, seen: dict[str, Source | None]) -> None:
    """Check the option ``name`` of a class, and remember which class its ``value`` names."""
    steps = [step for step in name.split(".") if step != "init_args"]
    is_class = steps[-1] == "class_path"
    steps = steps[:-1] if is_class else steps
    if "dict_kwargs" in steps:
        return
    for depth in range(1, len(steps)):
        place = ".".join(steps[:depth])
        _require_option(place, seen.get(place), steps[depth])
        if steps[depth] not in BASES:
            return
    if value is not None and steps[-1] in BASES:
        _see(".".join(steps), _loaded(value), seen)


def _loaded(value: str) -> Any:
    if not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, RecursionError):
        return None


def _see(place: str, value: Any, seen: dict[str, Source | None]) -> None:
    """Check the ``value`` of an option such as ``model.backbone`` (its ``place``): the name of a class, a mapping, or a list of these."""
    if isinstance(value, list):
        for item in value:
            _see(place, item, seen)
    elif isinstance(value, str):
        seen[place] = _class(place, value)
    elif isinstance(value, Mapping):
        if isinstance(value.get("class_path"), str):
            seen[place] = _class(place, value["class_path"])
        for name, inner in (value.get("init_args") or {}).items():
            _require_option(place, seen.get(place), str(name))
            if name in BASES:
                _see(f"{place}.{name}", inner, seen)


def _class(place: str, name: str) -> Source | None:
    """The class of tlda that ``name`` means as a value of the option ``place``; None where the class is not of tlda."""
    base = BASES[place.rpartition(".")[2]]
    found = subclasses(base)
    if "." in name or name.isdigit() or name in ("null", "None", "true", "false", "", base):
        return found.get(name.rpartition(".")[2]) if name.startswith("tlda.") else None
    if name not in found:
        raise UserError(f"unknown class '{name}' of --{place}{near(name, found)}")
    return found[name]


def _require_option(place: str, cls: Source | None, name: str) -> None:
    """Raise :class:`UserError` where ``cls``, the value of the option ``place``, has no option ``name``."""
    if cls is None or name in (*FROM_DATA, "help"):
        return
    known = options_of(cls) - set(FROM_DATA)
    if name not in known:
        raise UserError(f"{cls.name} has no option '{name}'{near(name, known)}")
