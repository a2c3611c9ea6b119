"""Read configuration files; a file that cannot be one gives an error of one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tlda.config.scalars import load
from tlda.errors import UserError, near
from tlda.options.recorded import Plain

DEEPEST, MOST = 50, 100_000
"""The most levels of a configuration, and the most values in it; values that an anchor repeats count each time."""


def read_yaml(path: str | Path) -> Plain:
    """The contents of a YAML file, or a :class:`UserError` that says where it is wrong."""
    try:
        content = load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check its name") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file: name a YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path} is not valid YAML{line}: {getattr(error, 'problem', None) or ' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply to be a configuration: check its brackets") from error
    except ValueError as error:
        raise UserError(f"{path} has a value that cannot be read ({error}): write it in quotes if it is a text") from error
    _require_plain(path, content, (), [0])
    return content


def _require_plain(path: str | Path, value: Any, above: tuple[int, ...], count: list[int]) -> None:
    """Raise :class:`UserError` where ``value`` contains itself or is of a type that JSON lacks; ``above`` are the ids of its parents."""
    count[0] += 1
    if id(value) in above:
        raise UserError(f"{path} has an anchor within itself: write what it stands for")
    if len(above) > DEEPEST or count[0] > MOST:
        raise UserError(f"{path} is nested too deeply, or its anchors make it too long, to be a configuration")
    if isinstance(value, dict):
        if unnamed := [name for name in value if not isinstance(name, (str, int, float, bool, type(None)))]:
            raise UserError(f"{path} has the key {unnamed[0]}: a key is a name")
    elif not isinstance(value, (list, str, int, float, bool, type(None))):
        raise UserError(f"{path} has a value of the type {type(value).__name__}: write a text, a number, true, false, a list or a mapping")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _require_plain(path, inner, (*above, id(value)), count)


def require_config(place: str | Path, config: object, known: Iterable[str]) -> None:
    """Raise :class:`UserError` where ``config``, from ``place``, names another option than those in ``known``."""
    known = list(known)
    if not isinstance(config, Mapping):
        raise UserError(f"{place} is not a configuration: it needs entries such as model, data and trainer")
    trainer = config.get("trainer") or {}
    if not isinstance(trainer, Mapping):
        raise UserError(f"{place} has trainer: {trainer}: it needs entries such as max_epochs")
    for name in (*config, *(f"trainer.{key}" for key in trainer)):
        if name not in known:
            raise UserError(f"{place} has an unknown option '{name}'{near_option(str(name), known)}")
    for part in ("model", "data"):
        if not isinstance(config.get(part) or "", (str, Mapping)):
            raise UserError(f"{place} has {part}: {config[part]}: it needs entries class_path and init_args")
        _require_class(place, part, config.get(part))


def _require_class(place: str | Path, name: str, value: Any) -> None:
    """Raise :class:`UserError` where an option of a class stands beside its ``class_path``, in the ``value`` of ``name`` in ``place``."""
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


def near_option(name: str, known: Iterable[str]) -> str:
    """The most similar option, or the options of the same section."""
    names = {option for option in known if len(option) > 1 and not option.endswith((".help", "+"))}
    section = name.rpartition(".")[0]
    nearest = near(name, names)
    return nearest if "did you mean" in nearest else near(name, [n for n in names if n.rpartition(".")[0] == section] or names)
