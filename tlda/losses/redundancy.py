"""Losses of two views that hold features apart by their statistics over the batch, without negatives."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, mse_loss

from tlda.losses.contrastive import two_views
from tlda.nn.numerics import option, without_autocast

HINGES = {"paper": 0.5, "sum": 1.0}
"""The weight of each view's hinge by variant."""


def _off_diagonal(square: Tensor) -> Tensor:
    return square.masked_fill(torch.eye(len(square), dtype=torch.bool, device=square.device), 0.0)


@without_autocast
def vicreg(
    z1: Tensor,
    z2: Tensor,
    similarity: float = 25,
    variance: float = 25,
    covariance: float = 1,
    variant: Literal["paper", "sum"] = "paper",
) -> Tensor:
    r"""Variance, invariance and covariance of two views' embeddings (Bardes et al., ICLR 2022, eqs. 1 to 6).

    .. math::
        \frac{s}{n d} \lVert Z_1 - Z_2 \rVert_F^2 + \frac{v}{2} \sum_z \frac{1}{d} \sum_j \max\left(0, 1 - \sqrt{\mathrm{Var}(z_j) +
        \epsilon}\right) + c \, \sum_z \frac{1}{d} \sum_{j \ne k} C(z)_{jk}^2

    The mean squared difference; a hinge on each dimension's standard deviation, below 1; and the squared off-diagonal entries of the
    covariances over the width.

    Args:
        z1: the first view of each row, (n, d), n at least 2.
        z2: the second view, (n, d).
        similarity: the weight of the squared difference.
        variance: the weight of the hinges.
        covariance: the weight of the covariances.
        variant: ``paper`` takes the mean of both views' hinges, as the authors' code and lightly do; ``sum`` their sum, as solo-learn does.

    Raises:
        UserError: the views differ in shape or have one row, or there is no such variant.

    Example:
        >>> round(vicreg(torch.eye(2), torch.eye(2)).item(), 4)
        7.8206
    """
    z1, z2 = two_views("vicreg", z1, z2, least=2)
    hinges = z1.new_zeros(())
    covariances = z1.new_zeros(())
    for z in (z1, z2):
        hinges = hinges + (1 - (z.var(0) + 1e-4).sqrt()).relu().mean()
        centred = z - z.mean(0)
        covariances = covariances + _off_diagonal(centred.T @ centred / (len(z) - 1)).square().sum() / z.shape[1]
    weight = variance * option("vicreg", "variant", variant, HINGES)
    return similarity * mse_loss(z1, z2) + weight * hinges + covariance * covariances


@without_autocast
def barlow_twins(z1: Tensor, z2: Tensor, redundancy: float = 5e-3) -> Tensor:
    r"""How far the cross-correlation of two views is from the identity (Zbontar et al., ICML 2021, eq. 1).

    .. math:: \sum_j (C_{jj} - 1)^2 + \lambda \sum_{j \ne k} C_{jk}^2

    Each dimension is standardised over the batch, as BatchNorm without parameters does it.

    Args:
        z1: the first view of each row, (n, d), n at least 2.
        z2: the second view, (n, d).
        redundancy: the weight of the entries off the diagonal.

    Raises:
        UserError: the views differ in shape or have one row.

    Example:
        >>> round(barlow_twins(torch.eye(2), torch.eye(2)).item(), 4)
        0.01
    """
    z1, z2 = two_views("barlow_twins", z1, z2, least=2)
    correlation = batch_norm(z1, None, None, training=True).T @ batch_norm(z2, None, None, training=True) / len(z1)
    return (correlation.diagonal() - 1).square().sum() + redundancy * _off_diagonal(correlation).square().sum()
