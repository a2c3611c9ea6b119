"""Batch spectral shrinkage."""

from __future__ import annotations

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import full_precision, spectrum


def batch_spectral_shrinkage(features: Tensor, k: int = 1) -> Tensor:
    r"""The squares of the ``k`` smallest singular values, whose directions transfer worst (Chen et al., NeurIPS 2019).

    .. math:: \sum_{i=1}^{k} \sigma_{-i}^2

    Args:
        features: (n, d); they have min(n, d) singular values.
        k: how many of them; all, where there are fewer.

    Example:
        >>> features = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
        >>> round(batch_spectral_shrinkage(features).item(), 4)
        4.0
    """
    rows = full_precision(features)
    # Not by the Gram matrix: the smallest singular values drown in the rounding of the largest one's square.
    return spectrum(torch.linalg.svdvals, rows)[-k:].square().sum()


class BSS(Loss):
    """:func:`batch_spectral_shrinkage` of the target's features, which are those of the only domain where there is one.

    Args:
        trade_off: the weight of the term; the paper's eta.
        k: the number of singular values.
    """

    def __init__(self, trade_off: float = 1e-3, k: int = 1) -> None:
        super().__init__(trade_off)
        self.k = k

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return batch_spectral_shrinkage(target.features, self.k)
