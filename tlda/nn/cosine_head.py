"""A classifier of directions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import linear, normalize


class CosineHead(nn.Module):
    """The cosines of features (n, d) with a weight per class, over ``temperature``: logits (n, classes) (Chen et al., ICLR 2019)."""

    def __init__(self, num_features: int, classes: int, temperature: float = 0.05) -> None:
        super().__init__()
        self.weight, self.temperature = nn.Linear(num_features, classes).weight, temperature

    def forward(self, features: Tensor) -> Tensor:
        return linear(normalize(features, dim=1), normalize(self.weight, dim=1)) / self.temperature
