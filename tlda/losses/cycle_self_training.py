"""Cycle self-training."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, normalize, one_hot

from tlda.batch import Output, Pair
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.nn.numerics import feature_pair

SHORTEST = 1e-6
"""The least norm that a row is divided by, so that the gradient of an empty row stays bounded."""


def cycle_self_training(source: Tensor, target: Tensor, source_labels: Tensor, target_logits: Tensor, ridge: float = 1e-3) -> Tensor:
    r"""The error on the source of a head that was fitted to the pseudo-labels of the target (Liu et al., NeurIPS 2021, sec. 3.1).

    .. math:: \frac{1}{n c} \lVert S T^\top (T T^\top + \lambda I)^{-1} \hat{Y}_t - Y_s \rVert_F^2

    The reverse step of the paper's cycle: the shared head labels the target, without gradient; a second head is fitted to those
    labels by ridge regression, in closed form; its squared error on the labelled source is the loss, whose gradient
    reaches both domains' features through the solution. As in the authors' code, features have unit length, labels are
    one-hot less ``1 / c``, and the error is the mean over rows and classes.

    Args:
        source: features, (n, d).
        target: features, (m, d).
        source_labels: classes, (n,).
        target_logits: (m, c); only the largest of a row counts, so they have no gradient.
        ridge: the weight of the squared norm of the fitted head.

    Raises:
        UserError: the widths differ, or ``ridge`` is not positive.

    Example:
        >>> features, labels = torch.eye(2), torch.tensor([0, 1])
        >>> round(cycle_self_training(features, features, labels, target_logits=99 * torch.eye(2)).item(), 4)
        0.0
    """
    if ridge <= 0.0:
        raise UserError(f"cycle_self_training has the ridge {ridge}: it must be positive, since a batch has fewer rows than features")
    source, target = (normalize(rows, dim=1, eps=SHORTEST) for rows in feature_pair("cycle_self_training", source, target))
    goal, pseudo = (_centred(labels, target_logits.shape[1], source) for labels in (source_labels, target_logits.argmax(1)))
    # The dual form of ridge regression, (m, m): it is the same head whether rows or features are more, and rows are fewer.
    gram = target @ target.T + ridge * torch.eye(len(target), dtype=target.dtype, device=target.device)
    return mse_loss(source @ target.T @ torch.linalg.solve(gram, pseudo), goal)


def _centred(labels: Tensor, num_classes: int, like: Tensor) -> Tensor:
    return one_hot(labels, num_classes).to(like.dtype) - 1.0 / num_classes


class CycleSelfTraining(Loss):
    """:func:`cycle_self_training` of features and logits, with the labels of ``batch.source``.

    Args:
        trade_off: the weight of the term; the default is that of both commands which the authors published.
        ridge: the weight of the squared norm of the fitted head.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 2.0, ridge: float = 1e-3) -> None:
        super().__init__(trade_off)
        self.ridge = ridge

    def forward(self, batch: Pair, source: Output, target: Output, progress: float) -> Tensor:
        return cycle_self_training(source.features, target.features, batch.source.y, target.logits, self.ridge)
