"""Balanced adversarial alignment and adaptive uncertainty suppression."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Output, Pair
from tlda.losses import BalancedAdversarial, MinEnt, complement_entropy
from tlda.methods.pada import PADA


class BA3US(PADA):
    """PADA that lends the target some source rows, and makes wrong classes equally unlikely (Liang et al., ECCV 2020).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
        borrowed: the fraction of the source's rows that are on both sides at first; it falls to none. The authors' is a quarter.
        complement: the weight of the entropy of the wrong classes; theirs is 5 for Office-31 and 1 for Office-Home.
        entropy: the weight of the entropy of the target's predictions, theirs.
        discriminator_norm: whether BatchNorm follows each hidden layer of the discriminator, as in the common library.
    """

    trains_on_certainty: ClassVar[bool] = True

    def __init__(
        self, *, trade_off: float = 1.0, hidden: int = 1024, borrowed: float = 0.25, complement: float = 1.0, entropy: float = 0.1,
        discriminator_norm: bool | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.borrowed, self.complement = borrowed, complement
        super().__init__(trade_off=trade_off, hidden=hidden, discriminator_norm=discriminator_norm, **kwargs)
        self.add_loss("entropy", MinEnt(entropy))

    def adversary(self, trade_off: float, hidden: int, batch_norm: bool | None) -> BalancedAdversarial:
        return BalancedAdversarial(trade_off, hidden, batch_norm=batch_norm, borrowed=self.borrowed)

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        spread = complement_entropy(source.logits, batch.source.y, self.class_weights[batch.source.y])
        return {**super().objective(batch, source, target), "complement": self.complement * spread}
