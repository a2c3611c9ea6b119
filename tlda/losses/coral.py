"""Correlation alignment."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from tlda.batch import Output
from tlda.losses.base import Loss
from tlda.losses.numerics import feature_pair, option

Variant = Literal["paper", "domainbed"]


def coral(source: Tensor, target: Tensor, variant: Variant = "paper") -> Tensor:
    """The distance of the covariances of both domains' features (Sun & Saenko, ECCV workshops 2016).

    Args:
        source: features, (n, d), n >= 2.
        target: features, (m, d), m >= 2.
        variant: ``paper`` is eq. 1, the squared Frobenius norm over ``4 d^2``. ``domainbed`` is what Gulrajani &
            Lopez-Paz (ICLR 2021) compute: the mean square over the d^2 entries, and that of the means' difference too.

    Raises:
        UserError: the widths differ, or a domain has one row, hence no covariance.
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


class CORAL(Loss):
    """:func:`coral` of the features.

    Args:
        trade_off: the weight of the term.
        variant: ``paper`` or ``domainbed``.
    """

    def __init__(self, trade_off: float = 1.0, variant: Variant = "paper") -> None:
        super().__init__(trade_off)
        self.variant = variant

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> Tensor:
        return coral(source.features, target.features, self.variant)
