"""Adversarial alignment through gradient reversal (DANN) and its conditional form (CDAN, CDAN+E)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tlda.batch import Batch, Output
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.nn import MultilinearMap, critic, reverse_gradient
from tlda.optim import ramp


def domain_adversarial(source: Tensor, target: Tensor, source_weight: Tensor | None = None, target_weight: Tensor | None = None) -> Tensor:
    r"""The domain discriminator's binary cross-entropy, the mean over both domains (Ganin et al., JMLR 2016, eq. 9).

    .. math:: -\frac{1}{2} \left(\frac{1}{n} \sum_i \log D(f_i) + \frac{1}{m} \sum_j \log(1 - D(g_j))\right)

    Args:
        source: the discriminator's logits of "source" on source features, (n,) or (n, 1).
        target: the same on target features, (m,) or (m, 1).
        source_weight: a weight per source example, (n,); normalised to a mean of 1 (Long et al., NeurIPS 2018, eq. 8).
        target_weight: a weight per target example, (m,); the same.

    Example:
        >>> source, target = torch.zeros(4), torch.zeros(4)
        >>> round(domain_adversarial(source, target).item(), 4)
        0.6931
    """
    losses = []
    for logits, label, weight in ((source, 1.0, source_weight), (target, 0.0, target_weight)):
        logits = logits.flatten()
        loss = binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), reduction="none")
        losses.append(loss.mean() if weight is None else (weight * loss).sum() / weight.sum().detach())
    return 0.5 * (losses[0] + losses[1])


def entropy_weight(logits: Tensor, reversal: float | None = None) -> Tensor:
    r"""``1 + exp(-H(p))`` of each row's prediction, (n, c) to (n,) (Long et al., NeurIPS 2018, sec. 3.3).

    .. math:: w_i = 1 + e^{-H(p_i)}

    Without gradient, as in the common library; with ``reversal`` the entropies have their gradient times ``-reversal``, as in the
    authors' code.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0], [99.0, 0.0]])
        >>> entropy_weight(logits).tolist()
        [1.5, 2.0]
    """
    log_p = (logits.detach() if reversal is None else logits).float().log_softmax(1)
    negative = (log_p.exp() * log_p).sum(1)
    return 1.0 + (negative if reversal is None else reverse_gradient(negative, reversal)).exp()


class DomainAdversarial(Loss):
    """Train a domain discriminator; its reversed gradient makes features that hide the domain (Ganin et al., JMLR 2016).

    The reversed gradient is scaled by ``trade_off`` and by the ramp of the run's progress. The discriminator's own loss is
    scaled by neither, so that it learns from the first step on.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's two hidden layers.
        dropout: the domain discriminator's dropout.
        gamma: the steepness of the ramp.
        batch_norm: whether BatchNorm follows each hidden layer of the discriminator, which both domains go through as one batch.
        first: how many of the features the discriminator sees, the first ones; by default all.
    """

    mixed_precision: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True

    def __init__(
        self,
        trade_off: float = 1.0,
        hidden: int = 1024,
        dropout: float = 0.0,
        gamma: float = 10.0,
        batch_norm: bool | None = None,
        first: int | None = None,
    ) -> None:
        super().__init__(trade_off)
        self.hidden, self.dropout, self.gamma, self.batch_norm, self.first = hidden, dropout, gamma, batch_norm, first

    def build(self, num_features: int, num_classes: int) -> None:
        if self.first is not None and not 1 <= self.first <= num_features:
            raise UserError(
                f"the domain discriminator is to see the first {self.first} features, and there are {num_features}: ask for fewer"
            )
        self.critic: nn.Module = critic(self.first or num_features, self.hidden, self.dropout, bool(self.batch_norm))

    def critic_inputs(self, batch: Batch, source: Output, target: Output) -> Tensor:
        """The inputs of the domain discriminator, (n + m, inputs), source first."""
        return torch.cat((source.features, target.features))[:, : self.first]

    def weights(self, batch: Batch, source: Output, target: Output, reversal: float) -> tuple[Tensor | None, Tensor | None]:
        """A weight per example of each domain, or none; ``reversal`` is the coefficient of the reversed gradient."""
        return None, None

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        coefficient = self.trade_off * ramp(progress, self.gamma)
        logits = self.critic(reverse_gradient(self.critic_inputs(batch, source, target), coefficient)).float()
        first, second = logits.tensor_split([len(source.features)])
        return domain_adversarial(first, second, *self.weights(batch, source, target, coefficient))

    def weigh(self, loss: Tensor) -> Tensor:
        return loss


class ConditionalAdversarial(DomainAdversarial):
    """Train a domain discriminator on features x predictions, so that classes are aligned too (Long et al., NeurIPS 2018, eq. 4-8).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's two hidden layers.
        dropout: the domain discriminator's dropout.
        gamma: the steepness of the ramp.
        entropy: weigh certain examples more (CDAN+E).
        max_features: above this many products, a random projection of that size takes their place.
        entropy_gradient: whether these weights have a gradient, reversed as that of the features, as in the authors' code; by default
            none, as in the common library.
        batch_norm: as for :class:`DomainAdversarial`.
    """

    reads_classes: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True

    def __init__(
        self,
        trade_off: float = 1.0,
        hidden: int = 1024,
        dropout: float = 0.0,
        gamma: float = 10.0,
        entropy: bool = False,
        max_features: int = 8192,
        entropy_gradient: bool | None = None,
        batch_norm: bool | None = None,
    ) -> None:
        super().__init__(trade_off, hidden, dropout, gamma, batch_norm)
        self.entropy, self.max_features, self.entropy_gradient = entropy, max_features, entropy_gradient
        if entropy_gradient and not entropy:
            raise UserError("entropy_gradient is of the weights by entropy, which this loss has not: set entropy true, or leave it out")

    def build(self, num_features: int, num_classes: int) -> None:
        self.map = MultilinearMap(num_features, num_classes, self.max_features)
        super().build(self.map.num_features, num_classes)

    def critic_inputs(self, batch: Batch, source: Output, target: Output) -> Tensor:
        # The predictions carry no gradient: only the features are to hide the domain, as in the authors' code.
        predictions = torch.cat((source.logits, target.logits)).detach().softmax(1)
        mapped: Tensor = self.map(super().critic_inputs(batch, source, target), predictions)
        return mapped

    def weights(self, batch: Batch, source: Output, target: Output, reversal: float) -> tuple[Tensor | None, Tensor | None]:
        if not self.entropy:
            return None, None
        own = reversal if self.entropy_gradient else None
        return entropy_weight(source.logits, own), entropy_weight(target.logits, own)
