"""Joint maximum mean discrepancy."""

from typing import Any

from tlda.losses import JointMMD
from tlda.method import Method


class JAN(Method):
    """Joint adaptation networks: MMD of features and predictions together (Long et al., ICML 2017).

    Args:
        trade_off: the weight of the discrepancy at full ramp.
    """

    def __init__(self, *, trade_off: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("discrepancy", JointMMD(trade_off))
