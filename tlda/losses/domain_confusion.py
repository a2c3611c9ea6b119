"""Domain confusion."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.losses.domain_adversarial import domain_adversarial
from tlda.nn import critic
from tlda.nn.numerics import full_precision, log_probabilities


def domain_confusion(logits: Tensor) -> Tensor:
    r"""The cross-entropy of the domain discriminator to a uniform prediction (Tzeng et al., ICCV 2015, eq. 4).

    .. math:: -\frac{1}{2n} \sum_i \left(\log D(f_i) + \log(1 - D(f_i))\right)

    Args:
        logits: the discriminator's logits of each domain, (n, domains), or of one of two, (n,) or (n, 1).

    Example:
        >>> logits = torch.zeros(3, 2)
        >>> round(domain_confusion(logits).item(), 4)
        0.6931
    """
    if logits.ndim == 1 or logits.shape[1] == 1:
        logits = torch.stack((logits.flatten(), torch.zeros_like(logits.flatten())), 1)
    return -log_probabilities(logits).mean()


class DomainConfusion(Loss):
    """Train a domain discriminator, and features that make its prediction uniform (Tzeng et al., ICCV 2015, eq. 3-6).

    The discriminator learns by :func:`tlda.losses.domain_adversarial`, unscaled, on features that get no gradient from it; ``trade_off``
    times :func:`domain_confusion` reaches the features alone. Both take one step at a time, as in the paper's alternation.

    Args:
        trade_off: the weight of the confusion.
        hidden: the width of the domain discriminator's two hidden layers.
    """

    mixed_precision: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 0.01, hidden: int = 1024) -> None:
        super().__init__(trade_off)
        self.hidden = hidden

    def build(self, num_features: int, num_classes: int) -> None:
        self.critic: nn.Module = critic(num_features, self.hidden)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        features = torch.cat((source.features, target.features))
        learning = full_precision(self.critic(features.detach()))
        fixed = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        confused = domain_confusion(functional_call(self.critic, fixed, (features,)))
        return domain_adversarial(*learning.tensor_split([len(source.features)])) + self.trade_off * confused

    def weigh(self, loss: Tensor) -> Tensor:
        return loss
