"""Feature maps: the features of every position of an image, at a stride."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from tlda.backbones.blocks import cut
from tlda.backbones.decoders import DECODERS, Decoding
from tlda.backbones.pretrained import Timm
from tlda.errors import UserError


class Dense(Timm):
    """Any network of timm with feature maps, which a decoder makes one map of: by default a light feature pyramid.

    A row of features is a position of the map at ``stride``: images (n, c, h, w) to (n * h / stride * w / stride, ``width``), image by
    image and line by line. So every head, loss and method of rows works on positions. A task of such rows is
    :class:`tlda.tasks.Segmentation`. The part of the network after its last map is left away; the decoder has the last map of each
    stride from ``stride`` on.

    Args:
        name: the network's name, as ``timm.list_models()`` gives it.
        weights: see :class:`Timm`; the decoder starts at random.
        channels: the input's channels.
        stride: the distance of two positions in pixels, of which height and width of the images are multiples.
        width: the width of the features.
        checkpointing: whether the backward pass computes the blocks of the network again instead of keeping what is in them: less memory,
            about a third more time. BatchNorm's running statistics then see each batch twice; gradients are the same.
        decoder: ``fpn``, by default, ``unet`` or ``mlp``: see :mod:`tlda.backbones.decoders`.

    Raises:
        UserError: an unknown network, or one without feature maps; weights that cannot be loaded; a stride or width below 1; an
            unknown decoder.
    """

    def __init__(
        self,
        name: str = "resnet18",
        weights: str | None = "pretrained",
        channels: int = 3,
        stride: int = 4,
        width: int = 64,
        checkpointing: bool | None = None,
        decoder: Decoding | None = None,
    ) -> None:
        super().__init__(name, weights, channels)
        if min(stride, width) < 1:
            raise UserError(f"Dense has stride {stride} and width {width}: both are 1 or more")
        self.stride, self.num_features = stride, width
        self.levels, widths = _levels(self.model, name, stride)
        model: Any = self.model
        if checkpointing:
            model.set_grad_checkpointing(True)
        model.prune_intermediate_layers(self.levels, prune_norm=True, prune_head=True)
        if decoder not in (None, *DECODERS):
            raise UserError(f"Dense has no decoder '{decoder}': it has {', '.join(DECODERS)}")
        self.decoder = DECODERS[decoder or "fpn"](widths, width)

    def blocks(self) -> list[nn.Module]:
        """Those of the network, and the decoder."""
        return [*cut(self.model), self.decoder]

    def features(self, x: Tensor) -> Tensor:
        """Features (n * h / stride * w / stride, ``width``) of normalised images (n, c, h, w)."""
        if x.shape[2] % self.stride or x.shape[3] % self.stride:
            raise UserError(f"images of {x.shape[2]} x {x.shape[3]} have no whole number of positions at stride {self.stride}: resize them")
        model: Any = self.model
        x = x.contiguous(memory_format=torch.channels_last)  # a third less time a step on one core, and rows need no copy
        maps = model.forward_intermediates(x, indices=self.levels, intermediates_only=True)
        decoded = self.decoder(maps)
        size = x.shape[2] // self.stride, x.shape[3] // self.stride
        at_stride = decoded if decoded.shape[2:] == size else interpolate(decoded, size, mode="bilinear")
        rows: Tensor = at_stride.permute(0, 2, 3, 1).flatten(0, 2)
        return rows


def _levels(model: nn.Module, name: str, stride: int) -> tuple[list[int], list[int]]:
    """The numbers of the maps of ``model`` that are merged, finest first, and their widths: the last map of each stride from ``stride``
    on."""
    info = getattr(model, "feature_info", None)
    if info is None or not hasattr(model, "forward_intermediates") or not hasattr(model, "prune_intermediate_layers"):
        raise UserError(f"timm's '{name}' gives no feature maps: use another network, such as resnet18 or tf_efficientnet_lite0")
    last = {level["reduction"]: number for number, level in enumerate(info)}
    chosen = sorted(number for reduction, number in last.items() if reduction >= stride) or [max(last.values())]
    return chosen, [info[number]["num_chs"] for number in chosen]
