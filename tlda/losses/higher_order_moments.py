"""The distance of the domains' moments of a high order."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.losses.mmd import discrepancy
from tlda.nn.numerics import feature_pair


def higher_order_moments(source: Tensor, target: Tensor, order: int = 3) -> Tensor:
    r"""The squared distance of the tensors of central moments of one order, over their number (HoMM; Chen et al., AAAI 2020, eq. 4).

    .. math:: \frac{1}{d^p} \lVert \frac{1}{n} \sum_i (f_i - \bar{f})^{\otimes p} - \frac{1}{m} \sum_j (g_j - \bar{g})^{\otimes p} \rVert^2

    Features are centred as in the authors' code. The tensors of d^p numbers are never made: their products are p-th powers of products
    of rows, so that all entries count, where the authors draw some above the third order.

    Args:
        source: features, (n, d).
        target: features, (m, d).
        order: p, 2 or more; 2 is the covariance, 3 the skewness.

    Raises:
        UserError: the widths differ, or the order is below 2.

    Example:
        >>> source, target = torch.tensor([[0.0], [0.0], [3.0]]), torch.tensor([[0.0], [1.0], [2.0]])
        >>> round(higher_order_moments(source, target).item(), 4)
        4.0
    """
    if order < 2:
        raise UserError(f"higher_order_moments compares moments about the mean, and order is {order}: give 2 or more")
    parts = feature_pair("higher_order_moments", source, target)
    # In double precision: the distance is a small difference of powers.
    rows = torch.cat([part.double() - part.double().mean(0) for part in parts])
    kernel = (rows @ rows.T / rows.shape[1]).pow(order)
    return discrepancy(kernel, len(source), biased=True).to(parts[0].dtype)


class HigherOrderMoments(Loss):
    """:func:`higher_order_moments` of the features.

    Args:
        trade_off: the weight of the term.
        order: the order of the moments, 2 or more.
    """

    compares_domains: ClassVar[bool] = True

    def __init__(self, trade_off: float = 1.0, order: int = 3) -> None:
        super().__init__(trade_off)
        self.order = order

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        return higher_order_moments(source.features, target.features, self.order)
