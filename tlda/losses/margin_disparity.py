"""Margin disparity discrepancy."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn import reverse_gradient
from tlda.nn.numerics import full_precision
from tlda.optim import ramp


def margin_disparity(source: Tensor, source_adversary: Tensor, target: Tensor, target_adversary: Tensor, margin: float = 4.0) -> Tensor:
    r"""The disparity of classifier and adversary on the target, less that on the source (Zhang et al., ICML 2019, sec. 4).

    .. math:: \frac{1}{m} \sum_j \log\left(1 - p'_{h(g_j)}(g_j)\right) + \frac{\gamma}{n} \sum_i \log p'_{h(f_i)}(f_i)

    The adversary maximises it, the features minimise it: ``E_target log(1 - p') + margin * E_source log p'``, where p' is
    the adversary's probability of the class that the classifier predicts.

    Args:
        source: the classifier's logits on the source, (n, c); only their largest counts, so they have no gradient.
        source_adversary: the adversary's logits on the source, (n, c).
        target: the classifier's logits on the target, (m, c); the same.
        target_adversary: the adversary's logits on the target, (m, c).
        margin: the weight of the source, exp of the margin; the paper's gamma.

    Example:
        >>> certain, undecided = torch.tensor([[99.0, 0.0]]), torch.zeros(1, 2)
        >>> round(margin_disparity(certain, certain, certain, undecided).item(), 4)
        -0.6931
    """
    follows = -cross_entropy(full_precision(source_adversary), source.argmax(1))
    return _log_of_others(full_precision(target_adversary), target.argmax(1)).mean() + margin * follows


def _log_of_others(logits: Tensor, labels: Tensor) -> Tensor:
    # log(1 - p) by the sum over the other classes: finite where p rounds to 1.
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.logsumexp(1) - logits.logsumexp(1)


class MarginDisparity(Loss):
    """An adversary head finds :func:`margin_disparity`; the reversed gradient makes the features reduce it.

    The reversed gradient is scaled by ``trade_off`` and by the ramp of the run's progress, the adversary's own loss by
    neither, as in :class:`tlda.losses.DomainAdversarial`.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        margin: the weight of the source.
        hidden: the width of the adversary's hidden layer.
        dropout: the adversary's dropout.
        gamma: the steepness of the ramp.
    """

    reads_classes: ClassVar[bool] = True
    mixed_precision: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True

    def __init__(self, trade_off: float = 0.1, margin: float = 4.0, hidden: int = 1024, dropout: float = 0.5, gamma: float = 10.0) -> None:
        super().__init__(trade_off)
        self.margin, self.hidden, self.dropout, self.gamma = margin, hidden, dropout, gamma

    def build(self, num_features: int, num_classes: int) -> None:
        layers = (nn.Linear(num_features, self.hidden), nn.ReLU(), nn.Dropout(self.dropout), nn.Linear(self.hidden, num_classes))
        self.adversary = nn.Sequential(*layers)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        features = torch.cat((source.features, target.features))
        logits = self.adversary(reverse_gradient(features, self.trade_off * ramp(progress, self.gamma)))
        source_adversary, target_adversary = logits.tensor_split([len(source.features)])
        return -margin_disparity(source.logits, source_adversary, target.logits, target_adversary, self.margin)

    def weigh(self, loss: Tensor) -> Tensor:
        return loss
