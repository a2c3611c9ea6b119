"""Margin disparity discrepancy."""

from typing import Any

from tlda.losses import MarginDisparity
from tlda.method import Method


class MDD(Method):
    """Margin disparity discrepancy between the head and an adversary (Zhang et al., ICML 2019).

    The paper's two classifiers are of one kind; here the head is the method's, linear, and the adversary has a hidden layer.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        margin: the paper's gamma, the exponential of the margin.
        hidden: the width of the adversary's hidden layer.
    """

    def __init__(self, *, trade_off: float = 0.1, margin: float = 4.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("disparity", MarginDisparity(trade_off, margin, hidden))
