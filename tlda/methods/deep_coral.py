"""Correlation alignment."""

from typing import Any, Literal

from tlda.losses import CORAL
from tlda.method import Method


class DeepCORAL(Method):
    """Deep CORAL: the distance of the features' covariances (Sun and Saenko, ECCV Workshops 2016).

    Args:
        trade_off: the weight of the distance.
        variant: the paper's formula, or DomainBed's, which adds the means.
    """

    def __init__(self, *, trade_off: float = 1.0, variant: Literal["paper", "domainbed"] = "paper", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("coral", CORAL(trade_off, variant))
