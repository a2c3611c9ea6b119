"""One-vs-all classifiers, whose "no" of the predicted class says that a row is unknown (OVANet)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from tlda.batch import Output, Pair
from tlda.losses.base import Loss
from tlda.nn.numerics import full_precision


def one_vs_all(margins: Tensor, labels: Tensor) -> Tensor:
    r"""Half the sum of the positive's and of the hardest negative's cross-entropy, the mean over rows (Saito and Saenko, ICCV 2021, eq. 2).

    .. math:: -\frac{1}{2n} \sum_i \left(\log \sigma(m_{i, y_i}) + \min_{k \ne y_i} \log \sigma(-m_{ik})\right)

    Args:
        margins: "yes" less "no" of each class, (n, c).
        labels: (n,).

    Example:
        >>> round(one_vs_all(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])).item(), 4)
        0.6931
    """
    margins, label = full_precision(margins), labels[:, None]
    positive = -logsigmoid(margins.gather(1, label))
    negative = -logsigmoid(-margins).scatter(1, label, torch.inf).amin(1)
    return 0.5 * (positive.squeeze(1) + negative).mean()


def binary_entropy(margins: Tensor) -> Tensor:
    r"""The mean entropy of all one-vs-all predictions, in nats, of margins (n, c) (the same, eq. 4).

    .. math:: \frac{1}{n c} \sum_{i,k} H(\sigma(m_{ik}))

    Example:
        >>> round(binary_entropy(torch.zeros(4, 3)).item(), 4)
        0.6931
    """
    margins = full_precision(margins)
    yes = margins.sigmoid()
    return -(yes * logsigmoid(margins) + (1 - yes) * logsigmoid(-margins)).mean()


class OneVsAll(Loss):
    """Train a one-vs-all classifier of each class: :func:`one_vs_all` on the source, :func:`binary_entropy` on the target.

    Args:
        trade_off: the weight of the term.
        entropy: the weight of the target's entropy in it.
    """

    mixed_precision: ClassVar[bool] = True
    reads_classes: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, entropy: float = 0.1) -> None:
        super().__init__(trade_off)
        self.entropy = entropy

    def build(self, num_features: int, num_classes: int) -> None:
        self.classifiers: nn.Module = nn.Linear(num_features, 2 * num_classes)

    def scores(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of "no" and of "yes" of each class, (n, c) both, of features (n, d)."""
        no, yes = self.classifiers(features).float().chunk(2, 1)
        return no, yes

    def forward(self, batch: Pair, source: Output, target: Output, progress: float) -> Tensor:
        first, second = (yes - no for no, yes in map(self.scores, (source.features, target.features)))
        return one_vs_all(first, batch.source.y) + self.entropy * binary_entropy(second)
