"""Domain confusion."""

from typing import Any

from tlda import losses
from tlda.method import Method


class DomainConfusion(Method):
    """Train features that make a domain discriminator's prediction uniform (Tzeng et al., ICCV 2015).

    Args:
        trade_off: the weight of the confusion.
        hidden: the width of the domain discriminator's hidden layers.
    """

    def __init__(self, *, trade_off: float = 0.01, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", losses.DomainConfusion(trade_off, hidden))
