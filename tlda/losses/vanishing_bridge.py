"""A domain discriminator with a bridge that vanishes (GVB)."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from tlda.batch import Batch, Output
from tlda.losses.domain_adversarial import DomainAdversarial, domain_adversarial, entropy_weight
from tlda.nn import critic, reverse_gradient
from tlda.optim import ramp


class Bridged(nn.Module):
    """The output of a layer less that of a second one, its bridge, whose size :attr:`size` is the mean of the last call.

    Args:
        main: the layer.
        bridge: the second one, with outputs of the same shape.
    """

    size: Tensor

    def __init__(self, main: nn.Module, bridge: nn.Module) -> None:
        super().__init__()
        self.main, self.bridge = main, bridge

    def forward(self, x: Tensor) -> Tensor:
        bridge = self.bridge(x)
        self.size = bridge.abs().mean()
        output: Tensor = self.main(x) - bridge
        return output


class BridgeAdversarial(DomainAdversarial):
    """:class:`DomainAdversarial` on predictions, weighed by certainty, whose discriminator has a vanishing bridge (Cui et al., 2020).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's two hidden layers.
        vanish: the weight of the size of the bridge.
        **kwargs: see :class:`DomainAdversarial`.
    """

    reads_classes: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, hidden: int = 1024, vanish: float = 1.0, **kwargs: Any) -> None:
        super().__init__(trade_off, hidden, **kwargs)
        self.vanish = vanish

    def build(self, num_features: int, num_classes: int) -> None:
        *trunk, last = critic(num_classes, self.hidden, self.dropout, bool(self.batch_norm))
        self.critic = nn.Sequential(*trunk, Bridged(last, nn.Linear(self.hidden, 1)))

    @property
    def last(self) -> Bridged:
        """The discriminator's last layer."""
        return cast(Bridged, cast(nn.Sequential, self.critic)[-1])

    def critic_inputs(self, batch: Batch, source: Output, target: Output) -> Tensor:
        return torch.cat((source.logits, target.logits)).softmax(1)

    def weights(self, batch: Batch, source: Output, target: Output, reversal: float) -> tuple[Tensor | None, Tensor | None]:
        return entropy_weight(source.logits, reversal), entropy_weight(target.logits, reversal)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        coefficient = self.trade_off * ramp(progress, self.gamma)
        logits = self.critic(reverse_gradient(self.critic_inputs(batch, source, target), coefficient)).float()
        first, second = logits.tensor_split([len(source.features)])
        loss: Tensor = domain_adversarial(first, second, *self.weights(batch, source, target, coefficient)) + self.vanish * self.last.size
        return loss
