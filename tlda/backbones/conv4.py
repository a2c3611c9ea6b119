"""The small convolutional network of few-shot learning."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from tlda.backbones.base import Backbone, require_shape
from tlda.errors import UserError


class Conv4(Backbone):
    """Four blocks of a 3 x 3 convolution, BatchNorm, ReLU and pooling (Vinyals et al., NeurIPS 2016, sec. 4.1).

    Args:
        channels: 1 for grey images, 3 for colour.
        size: the height and width of the images, at least 16.
        width: the channels of each block.
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64) -> None:
        side = size // 16
        if side < 1:
            raise UserError(f"Conv4 halves an image four times and needs at least 16 pixels, got size {size}")
        super().__init__(width * side**2, mean=(0.0,), std=(1.0,))
        self.channels, self.size = channels, size
        widths = [channels, *[width] * 4]
        self.layers = nn.Sequential(
            *(
                part
                for before, after in itertools.pairwise(widths)
                for part in (nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2))
            ),
            nn.Flatten(),
        )

    def features(self, x: Tensor) -> Tensor:
        require_shape(x, self, self.channels, self.size)
        features: Tensor = self.layers(x)
        return features
