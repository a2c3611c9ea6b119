"""Adversarial alignment of the classes that both domains have: the weights of PADA, IWAN and UAN."""

from __future__ import annotations

import math
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from tlda.batch import Batch, Output, Pair
from tlda.errors import UserError
from tlda.losses.domain_adversarial import DomainAdversarial, domain_adversarial
from tlda.losses.entropy import entropy_of
from tlda.nn import critic, reverse_gradient
from tlda.nn.numerics import full_precision, log_probabilities
from tlda.optim import ramp

TINY = 1e-12


def pada_weights(probabilities: Tensor) -> Tensor:
    r"""The weight of each class, (c,): the mean prediction on the target over its greatest entry (Cao et al., ECCV 2018, sec. 3.2).

    .. math:: w = \bar{p} / \max_j \bar{p}_j

    Args:
        probabilities: the predictions on all of the target, (m, c).

    Example:
        >>> pada_weights(torch.tensor([[1.0, 0.0], [0.5, 0.5]])).tolist()
        [1.0, 0.3333333432674408]
    """
    mean = full_precision(probabilities).mean(0)
    return mean / mean.max()


def iwan_weights(probabilities: Tensor) -> Tensor:
    r"""The weight of each source row, (n,): ``1 - D`` over its mean (Zhang et al., CVPR 2018, eq. 7-8).

    .. math:: w_i = \frac{1 - D(f_i)}{\frac{1}{n} \sum_k (1 - D(f_k))}

    Args:
        probabilities: what a domain discriminator gives for "source", (n,).

    Example:
        >>> [round(weight, 4) for weight in iwan_weights(torch.tensor([0.9, 0.5, 0.1])).tolist()]
        [0.2, 1.0, 1.8]
    """
    weights = 1.0 - full_precision(probabilities)
    return weights / weights.mean().clamp_min(TINY)


def uan_weight(similarity: Tensor, logits: Tensor) -> Tensor:
    r"""How likely each target row is of a shared class, in -1..1, (n,): ``d' - H / log c`` (You et al., CVPR 2019, eq. 8).

    .. math:: w = d' - \frac{H(p)}{\log c}

    Of a source row it is minus that (eq. 7).

    Args:
        similarity: what a domain discriminator gives for "source", (n,).
        logits: (n, c).

    Example:
        >>> uan_weight(torch.tensor([0.75, 0.25]), torch.tensor([[99.0, 0.0], [0.0, 0.0]])).tolist()
        [0.75, -0.75]
    """
    log_p = log_probabilities(logits)
    return full_precision(similarity) - entropy_of(log_p) / math.log(logits.shape[1])


class PartialAdversarial(DomainAdversarial):
    """:class:`DomainAdversarial` whose source rows weigh by their class, of :attr:`class_weights` (Cao et al., ECCV 2018, eq. 6).

    The weights are 1 until a method that sees the whole target writes others.
    """

    reads_classes: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True
    class_weights: Tensor

    def build(self, num_features: int, num_classes: int) -> None:
        super().build(num_features, num_classes)
        self.register_buffer("class_weights", torch.ones(num_classes))

    def weights(self, batch: Batch, source: Output, target: Output, reversal: float) -> tuple[Tensor | None, Tensor | None]:
        return self.class_weights[cast(Pair, batch).source.y], None


class BalancedAdversarial(PartialAdversarial):
    """:class:`PartialAdversarial` that has some source rows, of their weights, on the target's side too (Liang et al., ECCV 2020, eq. 3).

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's two hidden layers.
        borrowed: the fraction of the source's rows at first; it falls to none, linearly.
        **kwargs: see :class:`DomainAdversarial`.
    """

    def __init__(self, trade_off: float = 1.0, hidden: int = 1024, borrowed: float = 0.25, **kwargs: Any) -> None:
        super().__init__(trade_off, hidden, **kwargs)
        if not 0 <= borrowed <= 1:
            raise UserError(f"borrowed is {borrowed}: it is a fraction of the source's rows, from 0 to 1")
        self.borrowed = borrowed

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        coefficient = self.trade_off * ramp(progress, self.gamma)
        logits = self.critic(reverse_gradient(self.critic_inputs(batch, source, target), coefficient)).float()
        first, second = logits.tensor_split([len(source.features)])
        weights = self.class_weights[cast(Pair, batch).source.y]
        lent = round(self.borrowed * (1 - progress) * len(first))
        own = torch.cat((weights.new_ones(len(second)), weights[:lent]))
        return domain_adversarial(first, torch.cat((second, first[:lent])), weights, own)


class ImportanceAdversarial(DomainAdversarial):
    """:class:`DomainAdversarial` whose source rows weigh by a second domain discriminator (Zhang et al., CVPR 2018, eq. 5-9).

    That one moves no features: it says how like the target a source row is.
    """

    def build(self, num_features: int, num_classes: int) -> None:
        super().build(num_features, num_classes)
        self.similarity: nn.Module = critic(num_features, self.hidden, self.dropout, bool(self.batch_norm))

    def similarities(self, source: Output, target: Output) -> tuple[Tensor, Tensor]:
        """The logits (n,) and (m,) of the second discriminator, on features that it does not move."""
        logits: Tensor = self.similarity(torch.cat((source.features, target.features)).detach()).float().flatten()
        first, second = logits.tensor_split([len(source.features)])
        return first, second

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return super().forward(batch, source, target, progress) + domain_adversarial(*self.similarities(source, target))

    @torch.no_grad()
    def weights(self, batch: Batch, source: Output, target: Output, reversal: float) -> tuple[Tensor | None, Tensor | None]:
        # iwan_weights in the log domain: where all rows look like the source's alone, each is as good as another.
        logits = self.similarities(source, target)[0]
        return len(logits) * logsigmoid(-logits).softmax(0), None


class UniversalAdversarial(ImportanceAdversarial):
    """:class:`ImportanceAdversarial` whose rows of both domains weigh by how likely they are of shared classes: :func:`uan_weight`."""

    reads_classes: ClassVar[bool] = True

    @torch.no_grad()
    def weights(self, batch: Batch, source: Output, target: Output, reversal: float) -> tuple[Tensor | None, Tensor | None]:
        similar = self.similarities(source, target)
        first, second = (uan_weight(s.sigmoid(), o.logits) for s, o in zip(similar, (source, target), strict=True))
        return _spread(-first), _spread(second)


def _spread(weights: Tensor) -> Tensor:
    """Weights moved and scaled to 0..1 within the batch, as in the authors' code; ones where all are alike."""
    low, high = weights.aminmax()
    return (weights - low) / (high - low) if bool(high - low > TINY) else torch.ones_like(weights)
