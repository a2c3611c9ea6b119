"""Conditional domain-adversarial training."""

from typing import Any

from tlda.losses import ConditionalAdversarial
from tlda.method import Method


class CDAN(Method):
    """Conditional adversarial domain adaptation (Long et al., NeurIPS 2018).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers (500 in the authors' digit experiments).
        entropy: weigh certain examples more: CDAN+E.
        entropy_gradient: whether these weights have a reversed gradient, as in the authors' code; by default none, as in TLLib.
        discriminator_norm: whether BatchNorm follows each hidden layer of the discriminator, as in the common library.
    """

    def __init__(
        self,
        *,
        trade_off: float = 1.0,
        hidden: int = 500,
        entropy: bool = False,
        entropy_gradient: bool | None = None,
        discriminator_norm: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        loss = ConditionalAdversarial(trade_off, hidden, entropy=entropy, entropy_gradient=entropy_gradient, batch_norm=discriminator_norm)
        self.add_loss("domain", loss)
