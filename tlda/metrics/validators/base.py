"""What every validator is, and which rows the expensive ones look at."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torchmetrics import Metric

LIMIT = 2_000
"""The most rows of a domain that a validator compares pairwise or fits a classifier to."""


class Validator(Metric):
    """A label-free measure of a network on the target, which may choose a checkpoint or a setting.

    ``higher_is_better`` is its direction, and :attr:`label` its name in print.
    """

    label: ClassVar[str]
    is_differentiable = False
    full_state_update = False


def thin(rows: Tensor, limit: int = LIMIT) -> Tensor:
    """Every k-th of ``rows`` (n, …), k the least that leaves at most ``limit``."""
    return rows[:: max(1, -(-len(rows) // limit))]
