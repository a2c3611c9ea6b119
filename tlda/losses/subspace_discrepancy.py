"""Representation subspace distance."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import feature_pair, numerical_rank, spectrum, thin_svd


def subspace_discrepancy(source: Tensor, target: Tensor, mismatch: float = 0.1) -> Tensor:
    r"""Sum the sines of the angles between the subspaces that the features span (Chen et al., ICML 2021).

    .. math:: \sum_i \sin \theta_i + \beta \left\lVert |U| - |V| \right\rVert_F

    The subspaces have the leading right singular vectors of the features as bases, as many as a domain has rows. Two subspaces of more
    than half of the width always share directions, so at most ``d // 2`` of them are compared; features without spread have none.
    The scale of the features, on which a regression depends, does not count.

    Args:
        source: features, (n, d).
        target: features, (m, d).
        mismatch: the weight of the bases mismatch penalisation, the Frobenius distance of the absolute principal vectors, each in the
            basis of its domain. The authors' code has 0.1.

    Raises:
        UserError: the widths differ.

    Example:
        >>> source, target = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
        >>> round(subspace_discrepancy(source, target, mismatch=0.0).item(), 4)
        1.0
    """
    source, target = feature_pair("subspace_discrepancy", source, target)
    (_, source_values, source_vectors), (_, target_values, target_vectors) = thin_svd(source), thin_svd(target)
    rank = min(numerical_rank(source_values), numerical_rank(target_values), max(1, source.shape[1] // 2))
    first, second = source_vectors[:, :rank], target_vectors[:, :rank]
    products = first.mT @ second
    # The sines are the singular values of what of one basis is outside the other. By `sqrt(1 - cos^2)` rounding gives NaN, and a gradient
    # without bound where the subspaces meet.
    distance: Tensor = spectrum(torch.linalg.svdvals, second - first @ products).sum()
    if mismatch and rank:
        left, _, right = thin_svd(products)
        distance = distance + mismatch * torch.linalg.vector_norm(left.abs() - right.abs())
    return distance.to(source.dtype)


class RSD(Loss):
    """:func:`subspace_discrepancy` of the features.

    Args:
        trade_off: the weight of the term.
        mismatch: the weight of the bases mismatch penalisation within it.
    """

    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 0.001, mismatch: float = 0.1) -> None:
        super().__init__(trade_off)
        self.mismatch = mismatch

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return subspace_discrepancy(source.features, target.features, self.mismatch)
