"""Correlation alignment."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.losses.base import Loss
from tlda.nn.numerics import feature_pair, option

Variant = Literal["paper", "domainbed"]


def coral(source: Tensor, target: Tensor, variant: Variant = "paper") -> Tensor:
    r"""The distance of the covariances of both domains' features (Sun & Saenko, ECCV workshops 2016).

    .. math:: \frac{1}{4 d^2} \lVert C_s - C_t \rVert_F^2

    Args:
        source: features, (n, d), n >= 2.
        target: features, (m, d), m >= 2.
        variant: ``paper`` is eq. 1, the squared Frobenius norm over ``4 d^2``. ``domainbed`` is what Gulrajani &
            Lopez-Paz (ICLR 2021) compute: the mean square over the d^2 entries, and that of the means' difference too.

    Raises:
        UserError: the widths differ, or a domain has one row, hence no covariance.

    Example:
        >>> source, target = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0], [4.0]])
        >>> round(coral(source, target).item(), 4)
        9.0
    """
    source, target = feature_pair("coral", source, target, least=2)
    second = (covariance(source) - covariance(target)).square().mean()
    first = (source.mean(0) - target.mean(0)).square().mean()
    return option("coral", "variant", variant, {"paper": second / 4.0, "domainbed": first + second})


def covariance(rows: Tensor) -> Tensor:
    """The unbiased covariance of ``rows``, (n, d) to (d, d)."""
    # Centred before the product: eq. 2-3 subtract two large numbers, which float32 does not survive.
    centred = rows - rows.mean(0)
    return centred.T @ centred / (len(rows) - 1)


def coral_align(source: Tensor, target: Tensor, ridge: float = 1.0) -> Tensor:
    r"""The source's features with the target's covariance: CORAL without a network (Sun, Feng & Saenko, AAAI 2016, alg. 1).

    .. math:: S' = S \, (C_s + r I)^{-1/2} \, (C_t + r I)^{1/2}

    ``S (C_S + r I)^-1/2 (C_T + r I)^1/2``: whitened, then coloured. A classifier of the result is one of the target's features. In
    float64, since the root of a small eigenvalue decides.

    Args:
        source: features, (n, d), n >= 2, of mean 0 as in the paper, which moves no mean.
        target: features, (m, d), m >= 2.
        ridge: r, which makes both covariances invertible.

    Raises:
        UserError: the widths differ, or a domain has one row.

    Example:
        >>> source, target = torch.tensor([[-1.0], [1.0]]), torch.tensor([[-2.0], [2.0]])
        >>> coral_align(source, target, ridge=0.0).flatten().round(decimals=4).tolist()
        [-2.0, 2.0]
    """
    source, target = feature_pair("coral_align", source.double(), target.double(), least=2)
    eye = ridge * torch.eye(source.shape[1], dtype=source.dtype, device=source.device)
    return source @ _power(covariance(source) + eye, -0.5) @ _power(covariance(target) + eye, 0.5)


def _power(symmetric: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(symmetric)
    power: Tensor = (vectors * values**exponent) @ vectors.T
    return power


class CORAL(Loss):
    """:func:`coral` of the features.

    Args:
        trade_off: the weight of the term.
        variant: ``paper`` or ``domainbed``.
    """

    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, variant: Variant = "paper") -> None:
        super().__init__(trade_off)
        self.variant = variant

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return coral(source.features, target.features, self.variant)
