"""Configuration files, and one sentence from the command line's parser, with the near name, where it would print twenty lines."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tlda.backbones import Backbone
from tlda.data.pair import Augment, DomainPair
from tlda.errors import UserError, near
from tlda.finetuning import Tuning
from tlda.losses import Loss
from tlda.losses.weightings import Weighting
from tlda.method import Method
from tlda.optim import Optim, Schedule
from tlda.translation.cycle import Translator
from tlda.translation.generators import Generator

BASES: dict[str, type] = {
    "model": Method,
    "data": DomainPair,
    "backbone": Backbone,
    "plus": Loss,
    "optimizer": Optim,
    "schedule": Schedule,
    "weighting": Weighting,
    "tuning": Tuning,
    "augment": Augment,
    "choices": Augment,
    "strong": Augment,
    "translator": Translator,
    "generator": Generator,
    "gan": Optim,
}
"""What each option that names a class takes."""

LIST = "a list, as in [1,2]"
WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "dict": "a mapping", "list": LIST, "Sequence": LIST}
"""What a type is called in a sentence."""


def subclasses(base: type) -> dict[str, type]:
    """Every known subclass of ``base`` by its short name."""
    found: dict[str, type] = {}
    children: list[type] = base.__subclasses__()
    for child in children:
        found |= ({} if child.__name__.startswith("_") else {child.__name__: child}) | subclasses(child)
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


# Files


def read_yaml(path: str | Path) -> Any:
    """The contents of a YAML file, or a :class:`UserError` that says where it is wrong."""
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check its name") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file: name a YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path} is not valid YAML{line}: {getattr(error, 'problem', None) or error}") from error


def require_config(place: str | Path, config: Any, known: Iterable[str]) -> None:
    """Raise :class:`UserError` where ``config``, from ``place``, names another option than those in ``known``."""
    known = list(known)
    if not isinstance(config, Mapping):
        raise UserError(f"{place} is not a configuration: it needs entries such as model, data and trainer")
    trainer = config.get("trainer") or {}
    if not isinstance(trainer, Mapping):
        raise UserError(f"{place} has trainer: {trainer}: it needs entries such as max_epochs")
    for name in (*config, *(f"trainer.{key}" for key in trainer)):
        if name not in known:
            raise UserError(f"{place} has an unknown option '{name}'{_near_option(str(name), known)}")
    for part in ("model", "data"):
        if not isinstance(config.get(part) or "", (str, Mapping)):
            raise UserError(f"{place} has {part}: {config[part]}: it needs entries class_path and init_args")
        _require_class(place, part, config.get(part))


def _require_class(place: str | Path, name: str, value: Any) -> None:
    """Raise :class:`UserError` where an option of a class stands beside its ``class_path``; ``value`` is what ``place`` has as ``name``."""
    if isinstance(value, list):
        for item in value:
            _require_class(place, name, item)
    if not isinstance(value, Mapping):
        return
    stray = [key for key in value if key not in ("class_path", "init_args", "dict_kwargs")]
    if stray and (name in ("model", "data") or "class_path" in value):
        raise UserError(f"{place} has '{stray[0]}' in {name} itself: the options of a class belong below {name}.init_args")
    given = value.get("init_args") or {}
    if not isinstance(given, Mapping):
        raise UserError(f"{place} has {name}.init_args: {given}: it needs an entry for each option")
    for key, inner in given.items():
        _require_class(place, f"{name}.{key}", inner)


# Ranges

Range = tuple[Callable[[float], bool], str]
NOT_NEGATIVE: Range = (lambda value: value >= 0, "0 or more")
AT_LEAST_ONE: Range = (lambda value: value >= 1, "1 or more")
ABOVE_ZERO: Range = (lambda value: value > 0, "above 0")
SHARE: Range = (lambda value: 0 <= value <= 1, "from 0 to 1")
PROPER_SHARE: Range = (lambda value: 0 <= value < 1, "0 or more, and below 1")

RANGES: dict[str, Range] = {
    **dict.fromkeys(("trade_off", "source_trade_off", "target_trade_off", "feature_weight", "label_weight", "penalty"), NOT_NEGATIVE),
    **dict.fromkeys(
        ("semantic", "pixel", "rho", "ridge", "lr", "tent_lr", "weight_decay", "alpha", "bottleneck", "mismatch", "angle"), NOT_NEGATIVE
    ),
    **dict.fromkeys(("hidden", "k", "neighbours", "feature_steps", "critic_steps", "num_features", "num_inputs", "channels"), AT_LEAST_ONE),
    **dict.fromkeys(("temperature", "margin", "perturbation", "radius"), ABOVE_ZERO),
    **dict.fromkeys(("pretrain", "threshold", "floor"), SHARE),
    **dict.fromkeys(("warmup", "momentum", "dropout"), PROPER_SHARE),
}
"""The range of an option by its name, which is that of one concept; out of it a method would do nothing, or the reverse, without a word."""


def require_ranges(parsed: Any) -> None:
    """Raise :class:`UserError` where an option of one of tlda's classes is out of its range, in the model or the data of ``parsed``."""
    for part in ("model", "data"):
        _require_ranges(part, parsed[part].as_dict())


def _require_ranges(place: str, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _require_ranges(place, item)
    if not isinstance(value, Mapping):
        return
    ours = str(value.get("class_path")).startswith("tlda.")
    for name, given in (value.get("init_args") or {}).items():
        holds, words = RANGES.get(name, (bool, "")) if ours else (bool, "")
        if words and isinstance(given, (int, float)) and not holds(given):
            raise UserError(f"--{place}.{name} is {given}: it must be {words}")
        _require_ranges(f"{place}.{name}", given)


# Errors of the parser


@contextmanager
def explained(known: Iterable[str] = ()) -> Iterator[None]:
    """Turn what the parser raises, while it parses or makes the classes, into a :class:`UserError`."""
    try:
        yield
    except argparse.ArgumentError as error:
        raise UserError(sentence(str(error), known)) from error
    except ValueError as error:
        # The parser tries each type of a union, and wraps what a class raised while it was made.
        if "Does not validate" not in str(error):
            raise
        raise UserError(_bottom(error)) from error


def _bottom(error: BaseException) -> str:
    chain = [error]
    while inner := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(inner)
    if ours := next((link for link in chain if isinstance(link, UserError)), None):
        return str(ours)
    return f"these options cannot be put together: {_first_line(chain[-1])} (--debug shows where)"


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def sentence(message: str, known: Iterable[str]) -> str:
    """What the parser's ``message`` means; ``known`` are the options of the command."""
    place = ".".join(re.findall(r'Parser key "([^"]+)"', message))
    if match := re.search(r"Option '([^']+)' is not accepted", message):
        cls = _import(re.findall(r"given class_path '([^']+)'", message)[-1])
        return f"{cls.__name__} has no option '{match[1]}'{near(match[1], options(cls) - {'num_classes'})}"
    if match := re.search(r"(?:Unrecognized|unrecognized) arguments: ([^\s=]+)", message):
        return f"unknown option '{match[1]}'{_near_option(match[1].lstrip('-'), known)}"
    if match := re.search(r"arguments are required: ([^\n]+)", message):
        missing = ", ".join(
            f"--{place + '.' if place else ''}{re.sub('^[a-z]+[.](?=model|data)', '', name)}" for name in match[1].split(", ")
        )
        return f"missing {missing}: name it, or add a configuration such as -c experiments/base/digits.yaml"
    return _bad_class(message, place) or _bad_value(message, place)


def _import(class_path: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _near_option(name: str, known: Iterable[str]) -> str:
    """The nearest option, or those beside it: the trainer alone has forty."""
    names = {option for option in known if len(option) > 1 and not option.endswith((".help", "+"))}
    section = name.rpartition(".")[0]
    nearest = near(name, names)
    return nearest if "did you mean" in nearest else near(name, [n for n in names if n.rpartition(".")[0] == section] or names)


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
