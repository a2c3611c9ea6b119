"""Gradually vanishing bridges."""

from typing import Any, ClassVar

from torch import Tensor, nn

from tlda.batch import Output, Pair
from tlda.errors import UserError
from tlda.losses import BridgeAdversarial, Bridged
from tlda.method import Method


class GVB(Method):
    """An adversary on predictions; bridges take what is a domain's own out of head and discriminator, and vanish (Cui et al., CVPR 2020).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        vanish: the weight of the sizes of the bridges, the mean absolute values of their outputs.
        hidden: the width of the domain discriminator's hidden layers.

    Raises:
        UserError: the head is not one linear layer.
    """

    reads_classes: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, vanish: float = 1.0, hidden: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.head, nn.Linear):
            raise UserError("GVB adds a bridge to one linear layer, and the head is another: leave --model.head out")
        self.vanish = vanish
        self.network.replace_head(Bridged(self.head, nn.Linear(self.head.in_features, self.head.out_features)))
        self.add_loss("domain", BridgeAdversarial(trade_off, hidden, vanish))

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        size = sum(self.head.bridge(part.features).abs().mean() for part in (source, target)) / 2
        return {**super().objective(batch, source, target), "bridge": self.vanish * size}
