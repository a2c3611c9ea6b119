"""A classifier of directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from tlda.nn.margins import arcface_logits, cosface_logits


class CosineHead(nn.Module):
    """The cosines of features (n, d) with a weight per class, over ``temperature``: logits (n, classes) (Chen et al., ICLR 2019).

    Args:
        num_features: the width of the features.
        classes: the number of weights.
        temperature: what the cosines are divided by.
        arcface: the margin of :func:`tlda.nn.margins.arcface_logits`, in radians; 0 for none.
        cosface: the margin of :func:`tlda.nn.margins.cosface_logits`; 0 for none.
    """

    def __init__(self, num_features: int, classes: int, temperature: float = 0.05, arcface: float = 0.0, cosface: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Linear(num_features, classes).weight
        self.temperature: float | Tensor = temperature
        self.arcface, self.cosface = arcface, cosface

    def forward(self, features: Tensor) -> Tensor:
        return linear(normalize(features, dim=1), normalize(self.weight, dim=1)) / self.temperature

    def with_labels(self, logits: Tensor, y: Tensor) -> Tensor:
        """The ``logits`` (n, classes) of this head as training on the labels ``y`` (n,) sees them: with its margin, where it has one."""
        if not self.arcface and not self.cosface:
            return logits
        scale = 1 / float(self.temperature)
        cosines = (logits.float() / scale).clamp(-1, 1)
        if self.arcface:
            return arcface_logits(cosines, y, self.arcface, scale)
        return cosface_logits(cosines, y, self.cosface, scale)


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
