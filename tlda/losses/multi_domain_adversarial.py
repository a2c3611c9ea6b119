"""Adversarial alignment of more than two domains."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tlda.batch import Output, SourceBatch, Supervised
from tlda.losses.base import Loss
from tlda.nn import critic, reverse_gradient
from tlda.optim import ramp


def multi_domain_adversarial(logits: Tensor, domains: Tensor) -> Tensor:
    r"""The cross-entropy of a discriminator of k domains, each of which counts the same; with two it is DANN's (Ganin et al., JMLR 2016).

    .. math:: -\frac{1}{k} \sum_e \frac{1}{n_e} \sum_{i \in e} \log D_e(f_i)

    Args:
        logits: of the domains, (n, k).
        domains: the number of each row's domain, (n,).

    Example:
        >>> logits, domains = torch.zeros(3, 3), torch.tensor([0, 0, 2])
        >>> round(multi_domain_adversarial(logits, domains).item(), 4)
        1.0986
    """
    losses = cross_entropy(logits, domains, reduction="none")
    return torch.stack([losses[domains == domain].mean() for domain in sorted(set(domains.tolist()))]).mean()


class MultiDomainAdversarial(Loss):
    """:func:`multi_domain_adversarial` of the features through a gradient reversal, as :class:`tlda.losses.DomainAdversarial`.

    The target is one more domain; where a batch has none the sources are told apart alone.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        domains: how many domains there are, the target among them where one is looked at.
        hidden: the width of the domain discriminator's two hidden layers.
        gamma: the steepness of the ramp.
    """

    mixed_precision: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, domains: int = 2, hidden: int = 1024, gamma: float = 10.0) -> None:
        super().__init__(trade_off)
        self.domains, self.hidden, self.gamma = domains, hidden, gamma

    def build(self, num_features: int, num_classes: int) -> None:
        self.critic: nn.Module = critic(num_features, self.hidden)
        self.critic[-1] = nn.Linear(self.hidden, self.domains)

    def forward(self, batch: Supervised, source: Output, target: Output, progress: float) -> Tensor:
        """The cross-entropy of the domain of each row, the target's last, with a reversed gradient."""
        features, numbers = source.features, batch[0].domain.expand(len(source.features))
        if not isinstance(batch, SourceBatch):
            features = torch.cat((features, target.features))
            numbers = torch.cat((numbers, numbers.new_full((len(target.features),), self.domains - 1)))
        logits = self.critic(reverse_gradient(features, self.trade_off * ramp(progress, self.gamma)))
        return multi_domain_adversarial(logits.float(), numbers)

    def weigh(self, loss: Tensor) -> Tensor:
        return loss
