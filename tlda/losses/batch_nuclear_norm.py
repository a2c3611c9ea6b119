"""Batch nuclear-norm maximization."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import log_probabilities, spectrum


def batch_nuclear_norm(logits: Tensor) -> Tensor:
    r"""The negative nuclear norm of the predictions over n: least where all are certain and diverse (Cui et al., CVPR 2020, sec. 3.3).

    .. math:: -\frac{1}{n} \lVert P \rVert_* = -\frac{1}{n} \sum_k \sigma_k(P)

    Args:
        logits: (n, c).

    Example:
        >>> logits = torch.tensor([[99.0, 0.0], [0.0, 99.0]])
        >>> round(batch_nuclear_norm(logits).item(), 4)
        -1.0
    """
    return -spectrum(torch.linalg.svdvals, log_probabilities(logits).exp()).sum() / len(logits)


class BNM(Loss):
    """:func:`batch_nuclear_norm` of the predictions on the target."""

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return batch_nuclear_norm(target.logits)
