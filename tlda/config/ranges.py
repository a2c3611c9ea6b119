"""The range of each option that is a number."""

from __future__ import annotations

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
