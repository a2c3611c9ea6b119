"""Redundancy reduction."""

from typing import Any

from torch import Tensor

from tlda.losses import barlow_twins
from tlda.methods.pretraining.base import Pretraining
from tlda.nn import projector


class BarlowTwins(Pretraining):
    """The cross-correlation of two views' embeddings is to be the identity (Zbontar et al., ICML 2021).

    Args:
        redundancy: the weight of the entries off the diagonal.
        width: the width of the three layers of the projector; the paper's is 8192.
    """

    def __init__(self, *, redundancy: float = 5e-3, width: int = 512, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.redundancy = redundancy
        self.learnt["projector"] = projector(self.num_features, width, width, layers=3)

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        first, second = (self.learnt["projector"](self.features(self.view(x))) for _ in range(2))
        return {"correlation": barlow_twins(first, second, self.redundancy)}
