"""Deep subdomain adaptation."""

from typing import Any

from tlda.losses import LocalMMD
from tlda.method import Method


class DSAN(Method):
    """Deep subdomain adaptation: the features of each class have one distribution in both domains (Zhu et al., TNNLS 2020).

    Args:
        trade_off: the weight of the discrepancy at the end of the run.
    """

    def __init__(self, *, trade_off: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("subdomains", LocalMMD(trade_off))
