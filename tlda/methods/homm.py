"""Matching of moments of a high order."""

from typing import Any

from tlda.losses import HigherOrderMoments
from tlda.method import Method


class HoMM(Method):
    """Higher-order moment matching: the distance of the features' third central moments (Chen et al., AAAI 2020).

    Left out: the clustering of certain target rows, and random draws of moments. Features should have both signs: after ReLU most products
    are near zero, and the authors adapt a layer of tanh.

    Args:
        trade_off: the weight of the distance.
        order: the order of the moments, 2 or more.
    """

    def __init__(self, *, trade_off: float = 1.0, order: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("moments", HigherOrderMoments(trade_off, order))
