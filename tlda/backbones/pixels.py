"""A backbone without weights: the pixels of the image."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from tlda.backbones.base import Backbone
from tlda.errors import UserError


class Pixels(Backbone):
    """The pixels of an image, averaged to ``size`` x ``size``: a baseline for networks.

    Args:
        size: the height and width that are kept.
        channels: 1 for grey images, 3 for colour.
    """

    def __init__(self, size: int = 16, channels: int = 3) -> None:
        super().__init__(channels * size**2)
        self.size, self.channels = size, channels

    def features(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise UserError(f"Pixels takes images of {self.channels} channel(s), these are {tuple(x.shape)}: set --model.backbone.channels")
        return adaptive_avg_pool2d(x, self.size).flatten(1)
