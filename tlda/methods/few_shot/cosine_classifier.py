"""A classifier of directions, whose weights for new classes are those of their examples."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from tlda.methods.few_shot.nearest_centroid import NearestCentroid
from tlda.methods.few_shot.proto_net import class_means
from tlda.nn.cosine_head import CosineHead


class CosineClassifier(NearestCentroid):
    """A classifier of the base classes by cosines, and of new ones by the mean direction of their examples (Chen et al., ICLR 2019).

    The paper trains weights for the new classes; here they are imprinted (Qi et al., CVPR 2018), which needs no steps.

    Args:
        temperature: divides the cosines.
    """

    def __init__(self, *, temperature: float = 0.05, **kwargs: Any) -> None:
        self.temperature = temperature
        super().__init__(**kwargs)

    def last_layer(self) -> nn.Module:
        """The classifier of the base classes."""
        return CosineHead(self.num_features, len(self.few.base), self.temperature)

    def compared(self, queries: Tensor, examples: Tensor, y: Tensor) -> Tensor:
        directions = normalize(class_means(normalize(examples, dim=1), y), dim=1)
        return normalize(queries, dim=1) @ directions.T / self.temperature
