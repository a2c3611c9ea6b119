"""Representation subspace distance."""

from typing import Any

from tlda.losses import RSD as SubspaceDistance
from tlda.method import Method


class RSD(Method):
    """The angles between the subspaces that the features of both domains span, for regression (Chen et al., ICML 2021).

    Args:
        trade_off: the weight of the distance.
        mismatch: the weight of the bases mismatch penalisation within it.
    """

    def __init__(self, *, trade_off: float = 0.001, mismatch: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("subspace", SubspaceDistance(trade_off, mismatch))
