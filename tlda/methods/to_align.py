"""Task-oriented alignment."""

from typing import Any

from tlda import losses
from tlda.method import Method


class ToAlign(Method):
    """DANN on what the task reads of the source's features, so that the rest is not aligned (Wei et al., NeurIPS 2021).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
    """

    def __init__(self, *, trade_off: float = 1.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", losses.ToAlign(trade_off, hidden))
