"""The separation of the target's known rows from unknown ones, and the adversary that aligns the known alone (STA)."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, one_hot

from tlda.batch import Batch, Output, Pair
from tlda.errors import UserError
from tlda.losses.domain_adversarial import DomainAdversarial
from tlda.nn import critic
from tlda.nn.numerics import full_precision


def multi_binary(logits: Tensor, labels: Tensor) -> Tensor:
    r"""The binary cross-entropies of a classifier per class, summed over classes, the mean over rows (Liu et al., CVPR 2019, eq. 1).

    .. math:: -\frac{1}{n} \sum_i \left(\log \sigma(s_{i, y_i}) + \sum_{k \ne y_i} \log \sigma(-s_{ik})\right)

    Args:
        logits: of "of this class", (n, c).
        labels: (n,); a row whose label is -1 has none, and does not count.

    Example:
        >>> round(multi_binary(torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])).item(), 4)  # 3 log 2
        2.0794
    """
    logits, labels = full_precision(logits)[labels >= 0], labels[labels >= 0]
    own = one_hot(labels, logits.shape[1]).to(logits)
    return binary_cross_entropy_with_logits(logits, own, reduction="sum") / max(len(logits), 1)


def extremes(scores: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The numbers of the rows with the greatest and with the least of scores (n,), (k,) each: a ``share`` of n, and one at least.

    Example:
        >>> extremes(torch.tensor([0.1, 0.9, 0.5, 0.4]), 0.25)
        (tensor([1]), tensor([0]))
    """
    count = max(1, round(share * len(scores)))
    return scores.topk(count).indices, scores.topk(count, largest=False).indices


class SeparationAdversarial(DomainAdversarial):
    """:class:`DomainAdversarial` whose target rows weigh by how likely they are of a known class (Liu et al., CVPR 2019, eq. 1-5).

    A classifier per class learns from the source how similar a row is to it. Of the target, the rows that are most similar to any class and
    those that are least are known and unknown, from which one more classifier learns to tell these for all rows. None of them moves
    features.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the two hidden layers of the domain discriminator, and of the classifier of unknown rows.
        share: the fraction of a batch's target rows that is known, and that is unknown; less than a half.
        separate: the progress from which on the features hide the domain; before it, the classifiers alone learn.
        **kwargs: see :class:`DomainAdversarial`.

    Raises:
        UserError: a share or a progress out of its range.
    """

    reads_classes: ClassVar[bool] = True
    made_for_classes: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, hidden: int = 1024, share: float = 1 / 16, separate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(trade_off, hidden, **kwargs)
        if not 0 < share < 0.5:
            raise UserError(f"share is {share}: so many rows are known, and as many unknown, so that it is between 0 and 0.5")
        if not 0 <= separate < 1:
            raise UserError(f"separate is {separate}: it is the progress at which alignment begins, from 0 to less than 1")
        self.share, self.separate = share, separate

    def build(self, num_features: int, num_classes: int) -> None:
        super().build(num_features, num_classes)
        self.similarity = nn.Linear(num_features, num_classes)
        self.separator: nn.Module = critic(num_features, self.hidden, self.dropout, bool(self.batch_norm))

    def unknown(self, features: Tensor) -> Tensor:
        """The logits (n,) of "unknown" of features (n, d), which they do not move."""
        logits: Tensor = self.separator(features.detach()).float().flatten()
        return logits

    @torch.no_grad()
    def known_weights(self, features: Tensor) -> Tensor:
        """How likely each row of features (n, d) is known, over the sum of all rows, (n,)."""
        return logsigmoid(-self.unknown(features)).softmax(0)  # in the log domain: where none is known, the least unknown counts

    def weights(self, batch: Batch, source: Output, target: Output, reversal: float) -> tuple[Tensor | None, Tensor | None]:
        return None, self.known_weights(target.features)

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        similar = self.similarity(torch.cat((source.features, target.features)).detach()).float()
        first, second = similar.tensor_split([len(source.features)])
        known, unknown = (self.unknown(target.features[rows]) for rows in extremes(second.detach().amax(1), self.share))
        labels = torch.cat((torch.zeros_like(known), torch.ones_like(unknown)))
        separation = binary_cross_entropy_with_logits(torch.cat((known, unknown)), labels)
        domain = super().forward(batch, source, target, max(0.0, progress - self.separate) / (1 - self.separate))
        return domain + multi_binary(first, cast(Pair, batch).source.y) + separation
