"""Task-oriented alignment."""

from typing import Any

from tlda.losses import TaskOriented
from tlda.method import Method


class ToAlign(Method):
    """DANN that aligns with the target what speaks for the source row's label, and leaves the rest (Wei et al., NeurIPS 2021).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
        discriminator_norm: whether BatchNorm follows each of them, as in the common library.
    """

    def __init__(self, *, trade_off: float = 1.0, hidden: int = 1024, discriminator_norm: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", TaskOriented(trade_off, hidden, batch_norm=discriminator_norm))
