"""A small residual network for small images."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from tlda.backbones.base import Backbone, require_shape


class Residual(nn.Module):
    """Two convolutions with BatchNorm beside a shortcut, images (n, i, h, w) to (n, o, h / stride, w / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        projection = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = projection if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.layers(x) + self.shortcut(x))


class SmallResNet(Backbone):
    """The residual network of CIFAR-10 with ``6 blocks + 2`` layers (He et al., CVPR 2016, sec. 4.2), projections where its width doubles.

    Args:
        blocks: the residual blocks of each of three widths.
        width: the first width; the features are four times as many.
        channels: 1 for grey images, 3 for those in colour.
        size: height and width of the images.
    """

    def __init__(self, blocks: int = 1, width: int = 16, channels: int = 3, size: int = 32) -> None:
        super().__init__(4 * width)
        self.channels, self.size = channels, size
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        for level in range(3):
            for block in range(blocks):
                first = block == 0 and level > 0
                layers.append(Residual((width << level) // (2 if first else 1), width << level, 2 if first else 1))
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def features(self, x: Tensor) -> Tensor:
        require_shape(x, self, self.channels, None)  # pooled, so of any size
        features: Tensor = self.layers(x)
        return features
