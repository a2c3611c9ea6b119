"""Domain-adversarial training."""

from typing import Any

from tlda.losses import DomainAdversarial
from tlda.method import Method


class DANN(Method):
    """Domain-adversarial training of neural networks (Ganin et al., JMLR 2016).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
    """

    def __init__(self, *, trade_off: float = 1.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", DomainAdversarial(trade_off, hidden))
