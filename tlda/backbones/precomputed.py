"""A backbone for features that are already computed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tlda.backbones.base import Backbone
from tlda.errors import UserError


class Precomputed(Backbone):
    """Pass rows of precomputed features, (n, ``num_features``), on as they are.

    Args:
        num_features: the width of the rows.
        dropout: the fraction of the features that is dropped in training.
    """

    def __init__(self, num_features: int, dropout: float = 0.0) -> None:
        super().__init__(num_features)
        self.dropout = nn.Dropout(dropout)

    def features(self, x: Tensor) -> Tensor:
        """The features (n, ``num_features``) as they were given, after dropout."""
        if x.ndim != 2 or not x.is_floating_point():
            raise UserError(f"Precomputed takes features (n, d), these are {tuple(x.shape)}: use --data Features, or another backbone")
        if x.shape[1] != self.num_features:
            width = x.shape[1]
            raise UserError(f"Precomputed takes {self.num_features} features, these are {width}: set --model.backbone.num_features {width}")
        features: Tensor = self.dropout(x)
        return features

    def example(self, size: int | None = None) -> Tensor:
        return torch.zeros(2, self.num_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)
