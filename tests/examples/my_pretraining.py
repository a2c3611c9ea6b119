"""A pre-training method of one's own, in a file of one's own: two views have the same features, whose columns are orthonormal."""

from typing import Any

import torch
from torch import Tensor

from tlda.methods.pretraining.base import Pretraining
from tlda.nn import projector


class Orthonormal(Pretraining):
    """The squared distance of two views' projections, and that of each view's correlations from the identity.

    Args:
        width: the width of the projections.
        decorrelation: the weight of the correlations.
    """

    def __init__(self, *, width: int = 64, decorrelation: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decorrelation = decorrelation
        self.learnt["projector"] = projector(self.num_features, width, width, last_norm=True)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        first, second = (self.learnt["projector"](self.features(self.view(x))) for _ in range(2))
        spread = sum((z.T @ z / len(z) - torch.eye(z.shape[1], device=z.device)).square().mean() for z in (first, second))
        return {"invariance": (first - second).square().mean(), "spread": self.decorrelation * spread}
