"""Maximum mean discrepancy with a linear kernel."""

from typing import Any

from tlda.losses import MMD
from tlda.method import Method


class DDC(Method):
    """Deep domain confusion: the distance of the domains' mean features (Tzeng et al., 2014).

    Args:
        trade_off: the weight of the discrepancy; the paper's 0.25.
    """

    def __init__(self, *, trade_off: float = 0.25, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("discrepancy", MMD(trade_off, kernel="linear"))
