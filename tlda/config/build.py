"""Make methods, data and trainers from a plain configuration, without the command line."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser

import tlda.data
import tlda.losses
import tlda.methods
import tlda.rl  # noqa: F401  (imported, so that their classes have short names)
from tlda.config.classes import options
from tlda.config.overlays import require_config
from tlda.config.protocol import own_code, with_protocol
from tlda.config.ranges import require_ranges, require_trainer_ranges
from tlda.config.sentences import explained, import_class
from tlda.data.new_inputs import alone
from tlda.data.pair import DomainPair
from tlda.errors import UserError, subclasses
from tlda.method import Method
from tlda.training import checkpoint
from tlda.training.lightning import Unprofiled
from tlda.translation.translate import translate_method


@functools.cache
def _parser() -> LightningArgumentParser:
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_lightning_class_args(Method, "model", subclass_mode=True)
    parser.add_lightning_class_args(DomainPair, "data", subclass_mode=True)
    parser.link_arguments("data.task", "model.init_args.task", apply_on="instantiate")
    return parser


def known_options() -> list[str]:
    """The names that a configuration may have, such as ``model`` and ``trainer.max_epochs``."""
    return [name.lstrip("-") for action in _parser()._actions for name in action.option_strings if action.dest != "help"]


def _parse(config: dict[str, Any]) -> Any:
    known = known_options()
    require_config("the configuration", config, known)
    with explained(known):
        # A copy: the parser writes into what is nested.
        parsed = _parser().parse_object(copy.deepcopy(config))
    require_ranges(parsed)
    require_trainer_ranges(parsed["trainer"])
    return parsed


def _plain(parsed: Any) -> dict[str, Any]:
    # The parser has just validated it: to do so again doubles the time of a large table's start.
    dumped = json.loads(_parser().dump(parsed, skip_none=False, format="json", skip_validation=True))
    return {part: dumped[part] for part in ("model", "data")}


class _Data:
    """The place of the data beside a model that is parsed alone: they bring its task."""


@functools.cache
def _parser_of(part: str) -> LightningArgumentParser:
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args({"model": Method, "data": DomainPair, "trainer": Trainer}[part], part, subclass_mode=part != "trainer")
    if part == "model":
        parser.add_class_arguments(_Data, "beside")
        parser.link_arguments("beside.task", "model.init_args.task", apply_on="instantiate")
    return parser


_RESOLVED: dict[str, Any] = {}


def _resolved(part: str, config: Mapping[str, Any]) -> Any:
    """The ``part`` of a configuration with every option spelled out, as plain data.

    Each part means the same beside whatever others. What was resolved before is not parsed again, which takes a twentieth of a second,
    unless it names a class of one's own: that may change.
    """
    asked = {part: config[part]} if part in config else {}
    if (written := repr((part, asked))) in _RESOLVED:
        return _RESOLVED[written]
    parser = _parser_of(part)
    with explained(known_options()):
        parsed = parser.parse_object(copy.deepcopy(asked))  # a copy: the parser writes into what is nested
    (require_trainer_ranges if part == "trainer" else require_ranges)(parsed[part] if part == "trainer" else parsed)
    # The parser has just validated it: to do so again doubles the time of a large table's start.
    found = json.loads(parser.dump(parsed, skip_none=False, format="json", skip_validation=True))[part]
    if not own_code({"model": {}, "data": {}, part: found, "trainer": {}}):
        _RESOLVED[written] = found
    return found


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` with every option of model and data spelled out, as plain data."""
    require_config("the configuration", config, known_options())
    _resolved("trainer", config)
    return {part: copy.deepcopy(_resolved(part, config)) for part in ("model", "data")}


def build(config: dict[str, Any], **trainer: Any) -> tuple[Method, DomainPair, Trainer]:
    """The method, the data and the trainer that ``config`` describes; options in ``trainer`` win, and its callbacks are added."""
    parsed = _parse(config)
    with explained():
        made = _parser().instantiate_classes(parsed)
    made.model.recipe = with_protocol(_plain(parsed), config.get("trainer", {}))
    own = made.trainer["callbacks"] or []
    callbacks = [*(own if isinstance(own, list) else [own]), *trainer.get("callbacks", [])]
    options = {**made.trainer, **trainer, "callbacks": callbacks}
    return made.model, made.data, Trainer(**{**options, "profiler": options["profiler"] or Unprofiled()})


def recipe_of(method: Method, data: DomainPair, trainer: dict[str, Any]) -> dict[str, Any]:
    """The :attr:`tlda.method.Method.recipe` of a method and data made in Python, as far as plain data can describe them.

    ``trainer`` has the options of its trainer.
    """
    found = checkpoint.parts_of(method, data)
    if not {"model", "data"} <= found.keys():
        return found
    try:
        return with_protocol(resolve({part: found[part] for part in ("model", "data")}), trainer)
    except UserError:  # a class of one's own that no configuration could make
        return found


def load(path: str | Path) -> Method:
    """The method of the checkpoint at ``path``, built from the checkpoint alone and ready to use, in evaluation mode.

    Raises:
        UserError: the file is no checkpoint of tlda's, or does not say how its network was made.
    """
    found = checkpoint.read(path)
    held = checkpoint.held(path, found)
    if not {"model", "task"} <= held.keys():
        why = f" ({held['unknown']['model']})" if "model" in held.get("unknown", {}) else ""
        raise UserError(
            f"{path} does not say how its network was made{why}: make it, and use load_from_checkpoint of its class with the same options"
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Method, "model")
    model, task = checkpoint.without_files(held["model"]), checkpoint.task_from(held["task"])
    with explained():
        cls = subclasses(Method).get(model["class_path"]) or import_class(model["class_path"])
        takes_task = "task" in options(cls)  # a method of one's own may name its task itself
        if takes_task:
            model["init_args"]["task"] = 2  # some number, until the options are parsed
        parsed = parser.parse_object({"model": model})
        if takes_task:
            parsed.model.init_args.task = task
        method: Method = parser.instantiate_classes(parsed).model
    if not takes_task:
        method.task = method.network.task = task
    try:
        method.load_state_dict(found["state_dict"], strict=method.strict_loading)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{path} has other weights than the network that it names: it is damaged; name another checkpoint") from error
    return method.eval()


def data_of(recipe: Mapping[str, Any] | None, checkpoint: Path, changes: dict[str, str | None]) -> DomainPair:
    """Make the data of the ``recipe`` in ``checkpoint``, with those ``changes`` that are not None."""
    if recipe is None:
        raise UserError(f"{checkpoint} does not say what it was trained on: train with `tlda fit`, which writes that down")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DomainPair, "data")
    for name, value in changes.items():
        if value is not None and name not in recipe["init_args"]:
            raise UserError(f"{recipe['class_path'].rsplit('.', 1)[-1]} has no option '{name}': leave --{name} out")
    made = {**recipe["init_args"], **{name: value for name, value in changes.items() if value is not None}}
    with explained():
        data: DomainPair = parser.instantiate_classes(parser.parse_object({"data": {**recipe, "init_args": made}})).data
    return data


def new_inputs(path: str | Path, place: str | Path, data: DomainPair | None = None) -> DomainPair:
    """The inputs at ``place``, for the network of the checkpoint at ``path``: nothing else of the data that it was trained on is read.

    Args:
        path: the checkpoint.
        place: the file or folder of the inputs.
        data: the data whose reader is taken; by default as the checkpoint has it.

    Raises:
        UserError: the checkpoint does not say what its data were, and none are given.
    """
    found = checkpoint.recipe(path)
    if "task" not in found:
        raise UserError(f"{path} does not say what it was trained for: it was written by another version of tlda; train again")
    reader = data or data_of(found.get("data"), Path(path), {})
    return alone(reader, str(place), checkpoint.task_from(found["task"]), found.get("fitted"))


def translate_checkpoint(path: Path, out: Path, changes: dict[str, str | None]) -> int:
    """Translate the source of the data of the checkpoint at ``path`` into the folder ``out``, and return the number of images.

    ``changes`` are options of the data that take the place of the training's, where they are not None; errors are those of
    :func:`tlda.translation.translate.translate_method`.
    """
    method, recipe = load(path), checkpoint.recipe(path)
    return translate_method(method, data_of(recipe.get("data"), path, changes), path, out, recipe)
