"""The base class of feature extractors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tlda.backbones.blocks import cut
from tlda.errors import UserError
from tlda.options.recorded import Recorded


class Backbone(Recorded, nn.Module):
    """The base of every feature extractor. It normalises its own input, so that a checkpoint carries its statistics.

    Args:
        num_features: the width of what :meth:`features` returns.
        mean: the input's mean per channel, or one for all, in 0..1.
        std: the input's standard deviation per channel, or one for all.
    """

    mean: Tensor
    std: Tensor
    channels: int = 3
    size: int = 224
    """The channels, and the height and width, of the images that the network is made for. Generators of images read them."""

    kept: tuple[str, ...] = ()
    """How the names of those weights begin that the network has anyway, so that a checkpoint to start from may be without any of them."""

    def __init__(self, num_features: int, mean: Sequence[float] = (0.5,), std: Sequence[float] = (0.5,)) -> None:
        super().__init__()
        self.num_features = num_features
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """Features (n, ``num_features``) of normalised images (n, c, h, w)."""
        raise NotImplementedError

    def blocks(self) -> list[nn.Module]:
        """Cut the network into blocks, from the input to the features. :mod:`tlda.finetuning` freezes or trains whole blocks."""
        return cut(self)

    def classifier(self) -> nn.Linear:
        """The linear layer of the pretraining, from features to the classes of that time.

        Raises:
            UserError: there is none.
        """
        raise UserError(f"{type(self).__name__} has no classifier of its pretraining: use Timm with weights")

    def example(self, size: int | None = None) -> Tensor:
        """Make two inputs of zeros, which an export traces: images (2, c, ``size``, ``size``); by default of :attr:`size`."""
        return torch.zeros(2, self.channels, size or self.size, size or self.size)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x.sub(self.mean).div_(self.std))


def require_shape(x: Tensor, backbone: nn.Module, channels: int, size: int | None) -> None:
    """Raise :class:`UserError` where images ``x`` have other ``channels`` or another ``size``; None allows any size."""
    name = type(backbone).__name__
    if x.ndim != 4:
        raise UserError(f"{name} takes images (n, c, h, w), these are {tuple(x.shape)}: use a backbone for such data")
    if x.shape[1] != channels:
        raise UserError(f"{name} takes {channels} channel(s), the images have {x.shape[1]}: set --model.backbone.channels {x.shape[1]}")
    if size is not None and tuple(x.shape[2:]) != (size, size):
        raise UserError(
            f"{name} takes images of {size} x {size}, these are {x.shape[2]} x {x.shape[3]}: set --model.backbone.size or --data.size"
        )
