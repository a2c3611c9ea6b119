"""Importance-weighted adversarial nets."""

from typing import Any, ClassVar

from tlda.losses import ImportanceAdversarial, MinEnt
from tlda.method import Method


class IWAN(Method):
    """DANN in which source rows weigh more that a second domain discriminator takes for the target's (Zhang et al., CVPR 2018).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        entropy: the weight of the entropy of the target's predictions, the paper's gamma.
        hidden: the width of the domain discriminators' hidden layers.
        discriminator_norm: whether BatchNorm follows each of them, as in the common library.
    """

    setting: ClassVar[str] = "partial"
    trains_on_certainty: ClassVar[bool] = True

    def __init__(
        self, *, trade_off: float = 1.0, entropy: float = 0.1, hidden: int = 1024, discriminator_norm: bool | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", ImportanceAdversarial(trade_off, hidden, batch_norm=discriminator_norm))
        self.add_loss("entropy", MinEnt(entropy))
