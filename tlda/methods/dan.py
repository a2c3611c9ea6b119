"""Multi-kernel maximum mean discrepancy."""

from typing import Any

from tlda.losses import MMD
from tlda.method import Method


class DAN(Method):
    """Deep adaptation networks: multi-kernel MMD of the features (Long et al., ICML 2015), on the last layer.

    Args:
        trade_off: the weight of the discrepancy.
        biased: the biased estimate of MMD, never negative, or the unbiased one.
    """

    def __init__(self, *, trade_off: float = 1.0, biased: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("discrepancy", MMD(trade_off, biased=biased))
