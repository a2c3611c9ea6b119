"""Decoders: what makes one map of the maps of a network's stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

Decoding = Literal["fpn", "unet", "mlp"]
"""The decoders by name, see :data:`DECODERS`."""


class Decoder(nn.Module):
    """The base of decoders: maps (n, d, h, w) of the stages, finest first, to one map (n, ``width``, h, w) of the finest one's size.

    Args:
        widths: the channels of the maps, finest first.
        width: the channels of what is made of them.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The one map of ``maps``."""
        raise NotImplementedError


class Pyramid(Decoder):
    """A light feature pyramid (Lin et al., CVPR 2017, fig. 3).

    Each map is projected by a convolution of 1 x 1 and BatchNorm, the coarser ones are added to the finer ones, and a convolution of
    3 x 3 with BatchNorm and ReLU smooths the sum.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__(widths, width)
        self.lateral = nn.ModuleList(nn.Sequential(nn.Conv2d(d, width, 1, bias=False), nn.BatchNorm2d(width)) for d in widths)
        self.smooth = _smooth(width, width)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The sum of the projected maps, smoothed."""
        merged: Tensor | None = None
        for project, level in zip(reversed(self.lateral), reversed(maps), strict=True):
            projected = project(level)
            merged = projected if merged is None else projected + _brought(merged, projected)
        smoothed: Tensor = self.smooth(merged)
        return smoothed


class UNet(Decoder):
    """Skip connections (Ronneberger et al., MICCAI 2015, fig. 1), up to the finest map.

    From the coarsest map on, what was made is brought to the size of the next finer one and laid beside it, and two convolutions of 3 x 3,
    each with BatchNorm and ReLU, go over both. Every step has the one width, where the authors' have fewer channels the finer they are.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__(widths, width)
        *finer, coarsest = widths
        self.bottom = _smooth(coarsest, width)
        self.steps = nn.ModuleList(nn.Sequential(_smooth(width + d, width), _smooth(width, width)) for d in reversed(finer))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """What the last step makes of the finest map and of all coarser ones."""
        *finer, coarsest = maps
        made: Tensor = self.bottom(coarsest)
        for step, skipped in zip(self.steps, reversed(finer), strict=True):
            made = step(torch.cat((_brought(made, skipped), skipped), 1))
        return made


class AllMLP(Decoder):
    """The decoder of SegFormer (Xie et al., NeurIPS 2021, eq. 4): linear layers alone, position by position.

    Each map is projected to ``width`` channels and brought to the size of the finest; a linear layer with BatchNorm and ReLU, as in the
    authors' code, goes over all of them side by side. Its width is 256 in their small networks.
    """

    def __init__(self, widths: Sequence[int], width: int) -> None:
        super().__init__(widths, width)
        self.project = nn.ModuleList(nn.Conv2d(d, width, 1) for d in widths)
        self.fuse = _smooth(width * len(widths), width, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The fused projections of all maps."""
        projected = [project(level) for project, level in zip(self.project, maps, strict=True)]
        fused: Tensor = self.fuse(torch.cat([_brought(each, projected[0]) for each in projected], 1))
        return fused


DECODERS: dict[Decoding, type[Decoder]] = {"fpn": Pyramid, "unet": UNet, "mlp": AllMLP}
"""The decoders by name."""


def _smooth(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _brought(x: Tensor, like: Tensor) -> Tensor:
    return x if x.shape[2:] == like.shape[2:] else interpolate(x, like.shape[2:], mode="bilinear")
