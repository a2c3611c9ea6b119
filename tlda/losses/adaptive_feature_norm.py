"""Adaptive feature norm."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tlda.batch import Batch, Output
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.nn.numerics import full_precision, option

Variant = Literal["stepwise", "hard"]


def adaptive_feature_norm(features: Tensor, variant: Variant = "stepwise", delta: float = 1.0, radius: float = 25.0) -> Tensor:
    r"""Make the norms of features grow, as features of larger norm transfer better (Xu et al., ICCV 2019, sec. 3).

    .. math::
        \frac{1}{n} \sum_i \left(\lVert f_i \rVert_{\mathrm{old}} + \Delta - \lVert f_i \rVert\right)^2 \; \mathrm{(stepwise)}, \quad
        \left(\frac{1}{n} \sum_i \lVert f_i \rVert - R\right)^2 \; \mathrm{(hard)}

    Args:
        features: (n, d).
        variant: ``stepwise`` (SAFN) asks each row for ``delta`` more than it has; its value is ``delta ** 2`` whatever
            the features are, only its gradient says something. ``hard`` (HAFN) asks the mean norm to be ``radius``.
        delta: the step of ``stepwise``.
        radius: the norm of ``hard``.

    Example:
        >>> features = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
        >>> round(adaptive_feature_norm(features, "hard", radius=7.0).item(), 4)
        4.0
    """
    # At a zero row the norm has no direction, and torch's gradient there is 0, not NaN.
    norms: Tensor = torch.linalg.vector_norm(full_precision(features), dim=1)
    stepwise, hard = (norms.detach() + delta - norms).square().mean(), (norms.mean() - radius).square()
    return option("adaptive_feature_norm", "variant", variant, {"stepwise": stepwise, "hard": hard})


class AFN(Loss):
    """:func:`adaptive_feature_norm` of the features, the sum of both domains.

    Args:
        trade_off: the weight of the term.
        variant: ``stepwise`` or ``hard``.
        delta: the step of ``stepwise``.
        radius: the norm of ``hard``.
        start: the fraction of the run from which the term counts; by default it does from the first step. For ``hard`` on VisDA the authors
            train 10 epochs on the source alone, and then give the term the weight 0.01.

    Raises:
        UserError: ``start`` is no fraction below 1.
    """

    def __init__(
        self,
        trade_off: float = 0.05,
        variant: Variant = "stepwise",
        delta: float = 1.0,
        radius: float = 25.0,
        start: float | None = None,
    ) -> None:
        super().__init__(trade_off)
        if not 0 <= (start or 0.0) < 1:
            raise UserError(f"AFN has the start {start}: it is a fraction of the run, from 0 to below 1")
        self.variant, self.start = variant, start or 0.0
        self.delta, self.radius = delta, radius

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        norms = [adaptive_feature_norm(output.features, self.variant, self.delta, self.radius) for output in (source, target)]
        return (norms[0] + norms[1]) * (progress >= self.start) if self.start else norms[0] + norms[1]
