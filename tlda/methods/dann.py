"""Domain-adversarial training."""

from typing import Any

from tlda.losses import DomainAdversarial
from tlda.method import Method


class DANN(Method):
    """Domain-adversarial training of neural networks (Ganin et al., JMLR 2016).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
        discriminator_norm: whether BatchNorm follows each of them, as in the common library.
        first: how many of the features it sees, the first ones; by default all. Those of the image alone are the first third of a
            :class:`tlda.backbones.QuestionNet`'s.
    """

    def __init__(
        self, *, trade_off: float = 1.0, hidden: int = 1024, discriminator_norm: bool | None = None, first: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", DomainAdversarial(trade_off, hidden, batch_norm=discriminator_norm, first=first))
