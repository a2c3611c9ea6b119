"""The range of each option that is a number, by its name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from tlda.errors import UserError

Range = tuple[Callable[[float], bool], str]
NOT_NEGATIVE: Range = (lambda value: value >= 0, "0 or more")
AT_LEAST_ONE: Range = (lambda value: value >= 1, "1 or more")
ABOVE_ZERO: Range = (lambda value: value > 0, "above 0")
SHARE: Range = (lambda value: 0 <= value <= 1, "from 0 to 1")
PROPER_SHARE: Range = (lambda value: 0 <= value < 1, "0 or more, and below 1")

RANGES: dict[str, Range] = {
    **dict.fromkeys(("trade_off", "source_trade_off", "target_trade_off", "feature_weight", "label_weight", "penalty"), NOT_NEGATIVE),
    **dict.fromkeys(
        ("semantic", "pixel", "rho", "ridge", "lr", "tent_lr", "weight_decay", "l2", "alpha", "bottleneck", "mismatch", "angle"),
        NOT_NEGATIVE,
    ),
    **dict.fromkeys(
        (
            "hidden",
            "k",
            "neighbours",
            "feature_steps",
            "critic_steps",
            "num_features",
            "num_inputs",
            "channels",
            "passes",
            "minibatches",
            "regions",
        ),
        AT_LEAST_ONE,
    ),
    **dict.fromkeys(("temperature", "margin", "perturbation", "radius", "clip", "max_norm"), ABOVE_ZERO),
    **dict.fromkeys(("adapt_lr", "fisher", "affinity", "sharpness", "rate", "bonus", "value_weight"), NOT_NEGATIVE),
    **dict.fromkeys(("pretrain", "threshold", "floor", "restore", "average", "value_first", "discount", "trace"), SHARE),
    "seed": (lambda value: 0 <= value < 2**32, "a whole number from 0 to 4294967295"),
    **dict.fromkeys(("warmup", "momentum", "dropout"), PROPER_SHARE),
}
"""The range of an option by its name, which is that of one concept; out of it a method would do nothing, or the reverse, without a word."""


def require_limits(owner: str, options: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` where one of ``options``, given in Python to the class ``owner``, is out of its range."""
    for name, value in options.items():
        if not in_range(name, value):
            raise UserError(f"{name} of {owner} is {value}: it must be {RANGES[name][1]}")


def is_finite(value: float) -> bool:
    """Whether ``value`` is a number that a float holds: not NaN, not infinite, and no whole number of hundreds of digits."""
    return abs(value) <= sys.float_info.max


def in_range(name: str, value: object, ranges: Mapping[str, Range] = RANGES) -> bool:
    """Whether ``value``, of the option ``name``, is in its range; what is no number, or has no range, is."""
    if name not in ranges or not isinstance(value, (int, float)) or isinstance(value, bool):
        return True
    return is_finite(value) and ranges[name][0](value)
