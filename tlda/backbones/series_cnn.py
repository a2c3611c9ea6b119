"""A network for series of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from tlda.backbones.base import Backbone
from tlda.errors import UserError


class SeriesCNN(Backbone):
    """Three convolutions over time and the mean over what is left of it, AdaTime's 1D-CNN (Ragab et al., TKDD 2023).

    Series are (n, ``channels``, t) and standardised already, as :class:`tlda.data.HAR` gives them. Each convolution is followed by
    BatchNorm, ReLU and a maximum of two samples, the first one by dropout too.

    Args:
        channels: the channels of a series.
        length: its samples, which an export traces; the network takes any number from 8 on.
        widths: the channels after each convolution; those of the last are the features.
        kernel: the samples that the first convolution looks at; the others look at 8.
        dropout: the probability that a number after the first convolution is zero in training.

    Raises:
        UserError: no layer, a width below 1, a dropout outside of 0 to 1, or series of another shape.
    """

    def __init__(
        self, channels: int = 9, length: int = 128, widths: Sequence[int] = (64, 128, 128), kernel: int = 5, dropout: float = 0.5
    ) -> None:
        if not widths or min(channels, length, kernel, *widths) < 1:
            raise UserError(f"SeriesCNN needs layers of at least one channel: channels is {channels}, widths is {list(widths)}")
        super().__init__(widths[-1])
        self.channels, self.length = channels, length
        layers = [
            layer
            for number, (before, after) in enumerate(pairwise((channels, *widths)))
            for layer in self._layer(before, after, 8 if number else kernel, 0.0 if number else dropout)
        ]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten())

    @staticmethod
    def _layer(before: int, after: int, kernel: int, dropout: float) -> list[nn.Module]:
        convolution = nn.Conv1d(before, after, kernel, padding=kernel // 2, bias=False)
        pooled = [nn.BatchNorm1d(after), nn.ReLU(), nn.MaxPool1d(2, padding=1)]
        return [convolution, *pooled, *([nn.Dropout(dropout)] if dropout else [])]

    def features(self, x: Tensor) -> Tensor:
        """Features (n, ``num_features``) of series (n, ``channels``, t)."""
        if x.ndim != 3 or not x.is_floating_point():
            raise UserError(f"SeriesCNN takes series (n, c, t), these are {tuple(x.shape)}: use a backbone for such data")
        if x.shape[1] != self.channels:
            raise UserError(
                f"SeriesCNN takes {self.channels} channels, the series have {x.shape[1]}: set --model.backbone.channels {x.shape[1]}"
            )
        features: Tensor = self.layers(x)
        return features

    def example(self, size: int | None = None) -> Tensor:
        return torch.zeros(2, self.channels, size or self.length)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)
