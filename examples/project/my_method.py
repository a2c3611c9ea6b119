"""A method of one's own, in a file of one's own: the domains' features get the same means and the same spreads."""

from typing import Any

from torch import Tensor

from tlda.batch import Output, Pair
from tlda.losses import Loss
from tlda.method import Method


class Moments(Loss):
    """The squared distance of the features' means, and of their standard deviations."""

    compares_domains = True

    def forward(self, batch: Pair, source: Output, target: Output, progress: float) -> Tensor:
        means = source.features.mean(0) - target.features.mean(0)
        spreads = source.features.std(0) - target.features.std(0)
        return means.square().mean() + spreads.square().mean()


class MomentMatching(Method):
    """The task loss, and :class:`Moments`.

    Args:
        trade_off: the weight of the moments.
    """

    def __init__(self, *, trade_off: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("moments", Moments(trade_off))
