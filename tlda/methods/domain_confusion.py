"""Domain confusion."""

from typing import Any

from tlda import losses
from tlda.method import Method


class DomainConfusion(Method):
    """Features that make a domain critic's prediction uniform: the domain confusion of simultaneous transfer (Tzeng et al., ICCV 2015).

    Args:
        trade_off: the weight of the confusion.
        hidden: the width of the critic's hidden layers.
    """

    def __init__(self, *, trade_off: float = 0.01, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", losses.DomainConfusion(trade_off, hidden))
