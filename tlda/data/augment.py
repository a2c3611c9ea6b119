"""Augmentations of a batch on its device, each image with random parameters of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from tlda.data.pair import Augment
from tlda.errors import UserError


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise UserError(f"augmentation: {what}")


def _uniform(x: Tensor, limit: float) -> Tensor:
    """A number in -limit..limit for each image of the batch, (n,)."""
    return (2 * torch.rand(len(x), device=x.device) - 1) * limit


class RandomAffine(Augment):
    """Rotate, shear, scale and move each image about its middle; what comes in from outside is black.

    Args:
        degrees: the largest rotation either way, in degrees.
        translate: the largest move in each direction, as a share of the image's width and height.
        scale: the largest change of size, as a share: 0.1 gives 0.9 to 1.1.
        shear: the largest horizontal shear either way, in degrees.
    """

    def __init__(self, degrees: float = 0.0, translate: float = 0.0, scale: float = 0.0, shear: float = 0.0) -> None:
        super().__init__()
        _require(min(degrees, translate, scale, shear) >= 0, "degrees, translate, scale and shear are 0 or more")
        _require(scale < 1 and shear < 90, "scale is below 1 and shear below 90 degrees")
        self.degrees, self.translate, self.scale, self.shear = degrees, translate, scale, shear

    def forward(self, x: Tensor) -> Tensor:
        grid = affine_grid(self.matrices(x), list(x.shape), align_corners=False)
        return grid_sample(x, grid.to(x.dtype), align_corners=False)

    def matrices(self, x: Tensor) -> Tensor:
        """From each pixel's place to where it is read, both in -1..1 of width and height, (n, 2, 3)."""
        angle, lean = _uniform(x, math.radians(self.degrees)), torch.tan(_uniform(x, math.radians(self.shear)))
        size = 1 / (1 + _uniform(x, self.scale))
        cos, sin, aspect = size * angle.cos(), size * angle.sin(), x.shape[2] / x.shape[3]
        # Width and height both span -1..1: the aspect ratio makes it a rotation of pixels, not of these coordinates.
        top = torch.stack((cos, (lean * cos - sin) * aspect, _uniform(x, 2 * self.translate)), 1)
        bottom = torch.stack((sin / aspect, lean * sin + cos, _uniform(x, 2 * self.translate)), 1)
        return torch.stack((top, bottom), 1)


class RandomCrop(Augment):
    """Move each image by whole pixels: a crop of its own size after padding with black.

    Args:
        padding: the most pixels in each direction.
    """

    def __init__(self, padding: int = 4) -> None:
        super().__init__()
        _require(padding >= 0, "padding is 0 or more pixels")
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        first = torch.randint(2 * self.padding + 1, (2, n, 1), device=x.device)
        rows, columns = first[0] + torch.arange(height, device=x.device), first[1] + torch.arange(width, device=x.device)
        images = torch.arange(n, device=x.device)[:, None, None]
        return pad(x, [self.padding] * 4).permute(0, 2, 3, 1)[images, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


class RandomHorizontalFlip(Augment):
    """Mirror some images, left to right.

    Args:
        p: the probability.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        _require(0 <= p <= 1, "p is a probability, 0 to 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        flipped = torch.rand(len(x), 1, 1, 1, device=x.device) < self.p
        return torch.where(flipped, x.flip(3), x)


class ColourJitter(Augment):
    """Change the brightness, then the contrast about the image's mean, of each image; the result stays in 0..1.

    Args:
        brightness: the largest change of the factor on all values: 0.4 gives 0.6 to 1.4.
        contrast: the largest change of the factor on the distance from the mean.
    """

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0) -> None:
        super().__init__()
        _require(0 <= brightness <= 1 and 0 <= contrast <= 1, "brightness and contrast are 0 to 1")
        self.brightness, self.contrast = brightness, contrast

    def forward(self, x: Tensor) -> Tensor:
        bright = x * (1 + _uniform(x, self.brightness)).view(-1, 1, 1, 1)
        mean = bright.mean((1, 2, 3), keepdim=True)
        return torch.lerp(mean, bright, (1 + _uniform(x, self.contrast)).view(-1, 1, 1, 1)).clamp(0, 1)
