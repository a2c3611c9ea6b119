"""A classifier of directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize


class CosineHead(nn.Module):
    """The cosines of features (n, d) with a weight per class, over ``temperature``: logits (n, classes) (Chen et al., ICLR 2019)."""

    def __init__(self, num_features: int, classes: int, temperature: float = 0.05) -> None:
        super().__init__()
        self.weight = nn.Linear(num_features, classes).weight
        self.temperature: float | Tensor = temperature

    def forward(self, features: Tensor) -> Tensor:
        return linear(normalize(features, dim=1), normalize(self.weight, dim=1)) / self.temperature


class TextHead(CosineHead):
    """A :class:`CosineHead` whose weights a tower of texts wrote; the temperature, which that tower learnt, is in the checkpoint."""

    def __init__(self, num_features: int, classes: int) -> None:
        super().__init__(num_features, classes)
        del self.temperature
        self.register_buffer("temperature", torch.tensor(1.0))

    @torch.no_grad()
    def write(self, directions: Tensor, temperature: Tensor) -> None:
        """Take ``directions`` (classes, d) for the weights."""
        self.weight.copy_(directions)
        self.register_buffer("temperature", temperature.detach().clone())
