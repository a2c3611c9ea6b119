"""The ranges of a configuration's options, and of the trainer's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tlda.errors import UserError
from tlda.options.limits import AT_LEAST_ONE, NOT_NEGATIVE, RANGES, Range, in_range

if TYPE_CHECKING:
    from jsonargparse import Namespace


def _whole(value: float) -> bool:
    return float(value).is_integer()


LENGTH: Range = (lambda value: value == -1 or value >= 1, "1 or more, or -1 for no end: with 0 nothing is trained")
FRACTION: Range = (lambda value: value >= 0 and (_whole(value) or value <= 1), "a number of batches, or a fraction of them from 0 to 1")
SOME: Range = (lambda value: value > 0 and (_whole(value) or value <= 1), "a number of batches above 0, or a fraction of them up to 1")

TRAINER_RANGES: dict[str, Range] = {
    **dict.fromkeys(("max_epochs", "max_steps"), LENGTH),
    **dict.fromkeys(("accumulate_grad_batches", "check_val_every_n_epoch", "log_every_n_steps", "num_nodes"), AT_LEAST_ONE),
    **dict.fromkeys(("min_epochs", "min_steps", "gradient_clip_val", "reload_dataloaders_every_n_epochs", "fast_dev_run"), NOT_NEGATIVE),
    **dict.fromkeys(("limit_val_batches", "limit_test_batches", "limit_predict_batches", "overfit_batches"), FRACTION),
    "limit_train_batches": SOME,
    "val_check_interval": SOME,
    "devices": (lambda value: value == -1 or value >= 1, "1 or more, or -1 for all"),
    "num_sanity_val_steps": (lambda value: value >= -1, "0 or more, or -1 for all"),
}
"""The ranges of options of the trainer that Lightning does not check, or answers with a traceback."""

PRECISIONS = ("64", "64-true", "32", "32-true", "16", "16-mixed", "bf16", "bf16-mixed", "bf16-true")
"""The precisions that methods can train in. 16-true loses small gradients, and transformer-engine replaces layers."""


def require_seed(seed: object) -> None:
    """Raise :class:`UserError` where ``seed`` is not a valid seed."""
    require_range("seed_everything", seed, {"seed_everything": RANGES["seed"]})


def require_trainer_ranges(trainer: Namespace | Mapping[str, Any]) -> None:
    """Raise :class:`UserError` where an option of the parsed ``trainer`` is out of its range."""
    devices, precision = trainer.get("devices"), trainer.get("precision")
    if isinstance(devices, str) and not re.fullmatch(r"auto|-1|\d+(, ?\d+)*,?", devices):
        raise UserError(f"--trainer.devices is {devices}: it must be auto, a number of devices, or their numbers, as in [0,1]")
    for name in TRAINER_RANGES:
        require_range(f"trainer.{name}", trainer.get(name), {f"trainer.{name}": TRAINER_RANGES[name]})
    if precision is not None and str(precision) not in PRECISIONS:
        raise UserError(f"--trainer.precision is {precision}: it must be one of {', '.join(PRECISIONS)}")


def require_range(name: str, value: object, ranges: Mapping[str, Range]) -> None:
    """Raise :class:`UserError` where ``value``, of the option ``name``, is a number out of its range in ``ranges``."""
    if not in_range(name, value, ranges):
        raise UserError(f"--{name} is {value}: it must be {ranges[name][1]}")


BARE = {"Optim": "Adam", "Loss": "MMD", "Weighting": "PCGrad", "Backbone": "LeNet", "Augment": "Cutout", "DomainPair": "Digits"}
"""The bases that make nothing themselves, which the parser takes where an option of a class is given and no class, each with a class."""


def require_ranges(parsed: Namespace) -> None:
    """Raise :class:`UserError` where an option of one of tlda's classes is out of its range, in the model or the data of ``parsed``."""
    for part in ("model", "data"):
        if part in parsed:
            _require_ranges(part, parsed[part].as_dict())


def _require_ranges(place: str, value: object) -> None:
    if isinstance(value, list):
        for item in value:
            _require_ranges(place, item)
    if not isinstance(value, Mapping):
        return
    ours = str(value.get("class_path")).startswith("tlda.")
    if ours and (usual := BARE.get(str(value["class_path"]).rpartition(".")[2])):
        raise UserError(f"--{place} has options and no class: name one before them, as by --{place} {usual}")
    for name, given in (value.get("init_args") or {}).items():
        if ours and name in RANGES:
            require_range(f"{place}.{name}", given, {f"{place}.{name}": RANGES[name]})
        _require_ranges(f"{place}.{name}", given)
