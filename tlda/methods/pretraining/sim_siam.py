"""Prediction of the other view, without a second network."""

from typing import Any

from torch import Tensor

from tlda.losses import simsiam
from tlda.methods.pretraining.base import Pretraining
from tlda.nn import projector


class SimSiam(Pretraining):
    """A predictor finds each view's projection from the other's, which stands still (Chen & He, CVPR 2021).

    Args:
        width: the width of the three layers of the projector; the paper's is 2048.
        bottleneck_width: the width of the predictor's hidden layer, a quarter of ``width`` in the paper.
    """

    def __init__(self, *, width: int = 512, bottleneck_width: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.learnt["projector"] = projector(self.num_features, width, width, layers=3, last_norm=True)
        self.learnt["predictor"] = projector(width, bottleneck_width, width)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        first, second = (self.learnt["projector"](self.features(self.view(x))) for _ in range(2))
        return {"prediction": (self.predicted(first, second) + self.predicted(second, first)) / 2}

    def predicted(self, projection: Tensor, other: Tensor) -> Tensor:
        """The loss of predicting the ``other`` view's projection (n, d), which has no gradient, from one."""
        return simsiam(self.learnt["predictor"](projection), other)
