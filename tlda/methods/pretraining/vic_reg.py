"""Variance, invariance and covariance."""

from typing import Any, Literal

from torch import Tensor

from tlda.losses import vicreg
from tlda.methods.pretraining.base import Pretraining
from tlda.nn import projector


class VICReg(Pretraining):
    """Two views have near embeddings, whose dimensions vary over the batch and are not correlated (Bardes et al., ICLR 2022).

    Args:
        similarity: the weight of the views' squared difference.
        variance: the weight of the hinge on the standard deviations.
        covariance: the weight of the covariances.
        variant: how the two views' hinges are taken together, see :func:`tlda.losses.vicreg`.
        width: the width of the three layers of the expander; the paper's is 8192.
    """

    def __init__(
        self,
        *,
        similarity: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        variant: Literal["paper", "sum"] = "paper",
        width: int = 512,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.weights, self.variant = (similarity, variance, covariance), variant
        self.learnt["projector"] = projector(self.num_features, width, width, layers=3)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        first, second = (self.learnt["projector"](self.features(self.view(x))) for _ in range(2))
        return {"vicreg": vicreg(first, second, *self.weights, variant=self.variant)}
