"""Methods, data and trainers from a plain configuration, without the command line."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser

import tlda.data
import tlda.losses
import tlda.methods  # noqa: F401  (imported, so that their classes have short names)
from tlda.config.overlays import require_config
from tlda.config.protocol import with_protocol
from tlda.config.ranges import require_ranges, require_trainer_ranges
from tlda.config.sentences import explained
from tlda.data.pair import DomainPair
from tlda.method import Method
from tlda.training.lightning import Unprofiled


@functools.cache
def _parser() -> LightningArgumentParser:
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_lightning_class_args(Method, "model", subclass_mode=True)
    parser.add_lightning_class_args(DomainPair, "data", subclass_mode=True)
    parser.link_arguments("data.num_classes", "model.init_args.num_classes", apply_on="instantiate")
    return parser


def known_options() -> list[str]:
    """What a configuration may name, such as ``model`` and ``trainer.max_epochs``."""
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


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` with every option of model and data spelled out, as plain data."""
    return _plain(_parse(config))


def build(config: dict[str, Any], **trainer: Any) -> tuple[Method, DomainPair, Trainer]:
    """The method, the data and the trainer that ``config`` describes; ``trainer`` wins over its trainer's options, and adds callbacks."""
    parsed = _parse(config)
    with explained():
        made = _parser().instantiate_classes(parsed)
    made.model.recipe = with_protocol(_plain(parsed), config.get("trainer", {}))
    own = made.trainer["callbacks"] or []
    callbacks = [*(own if isinstance(own, list) else [own]), *trainer.get("callbacks", [])]
    options = {**made.trainer, **trainer, "callbacks": callbacks}
    return made.model, made.data, Trainer(**{**options, "profiler": options["profiler"] or Unprofiled()})
