"""Alignment of inverse Gram matrices."""

from typing import Any

from tlda.losses import DAREGRAM as InverseGram
from tlda.method import Method


class DAREGRAM(Method):
    """The angles and the scale of the features' inverse Gram matrices, for regression (Nejjar et al., CVPR 2023).

    Args:
        trade_off: the weight of both.
        angle: the weight of the cosines of the inverse matrices within it.
        scale: the weight of the distance of the eigenvalues within it.
        threshold: the fraction of the sum of the eigenvalues that decides how many are kept.
    """

    def __init__(
        self, *, trade_off: float = 1.0, angle: float = 0.05, scale: float = 0.001, threshold: float = 0.99, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.add_loss("gram", InverseGram(trade_off, angle, scale, threshold))
