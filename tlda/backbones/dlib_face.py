"""dlib's face network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from tlda.backbones.base import Backbone, require_shape
from tlda.backbones.weights import load_file, weights_file
from tlda.errors import UserError

MEAN, STEP = (122.782, 117.001, 104.298), 256
"""What dlib subtracts from the bytes of an image per channel, and then divides by."""

STAGES = ((32, 3, False), (64, 3, True), (128, 2, True), (256, 2, True))
"""Of each stage the channels, the blocks that keep the size, and whether one that halves it comes first."""

NAMES = {"filters": "weight", "weights": "weight", "biases": "bias"}
"""The names of the file's tensors here."""


class Scale(nn.Module):
    """A factor and a constant per channel, which dlib has in place of BatchNorm, for maps (n, c, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class Scaled(nn.Module):
    """A convolution and a :class:`Scale`; without padding where it has a stride, as dlib has it."""

    def __init__(self, inputs: int, outputs: int, side: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2 if stride == 1 else 0)
        self.scale = Scale(outputs)

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.scale(self.conv(x))
        return scaled


class Residual(nn.Module):
    """Two convolutions beside a shortcut; one that halves the size has the means of 2 x 2 positions, and zeros for new channels, there."""

    def __init__(self, inputs: int, outputs: int, halves: bool) -> None:
        super().__init__()
        self.conv1 = Scaled(inputs, outputs, stride=2 if halves else 1)
        self.conv2 = Scaled(outputs, outputs)
        self.shortcut = nn.AvgPool2d(2) if halves else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y, shortcut = self.conv2(relu(self.conv1(x))), self.shortcut(x)
        # The smaller of both is filled up with zeros, in channels, height and width.
        sizes = [max(a, b) for a, b in zip(y.shape[1:], shortcut.shape[1:], strict=True)]
        y, shortcut = (pad(z, [0, sizes[2] - z.shape[3], 0, sizes[1] - z.shape[2], 0, sizes[0] - z.shape[1]]) for z in (y, shortcut))
        return relu(y + shortcut)


class DlibFace(Backbone):
    """dlib's ResNet of 29 convolutions: faces (n, 3, 150, 150) to 128 features, whose distances tell people apart (King, 2017).

    Its authors report 99.38 % on LFW, whose people its training had not. It wants faces as its detector cuts them out.

    Args:
        weights: a file of the network's weights, ``dlib_face_resnet29.safetensors`` with face-api's names, also from the folder ``weights``
            of ``TLDA_DATA``; null for random ones.

    Raises:
        UserError: there is no such file, or it holds another network.
    """

    size = 150

    def __init__(self, weights: str | None = "dlib_face_resnet29.safetensors") -> None:
        super().__init__(128, [value / 255 for value in MEAN], [STEP / 255])
        self.conv32_down = Scaled(3, 32, 7, 2)
        self.pool = nn.MaxPool2d(3, 2)
        width, self.order = 32, list[str]()
        for channels, blocks, halves in STAGES:
            for name in (*["down"] * halves, *map(str, range(1, blocks + 1))):
                self._add(f"conv{channels}_{name}", Residual(width, channels, name == "down"))
                width = channels
        self._add("conv256_down_out", Residual(width, 256, True))
        self.fc = nn.Linear(256, 128, bias=False)
        if weights is not None:
            load_file(self, _found(weights), [], renamed)

    def _add(self, name: str, block: Residual) -> None:
        self.add_module(name, block)
        self.order.append(name)

    def blocks(self) -> list[nn.Module]:
        return [self.conv32_down, *(self.get_submodule(name) for name in self.order), self.fc]

    def features(self, x: Tensor) -> Tensor:
        require_shape(x, self, 3, self.size)
        x = self.pool(relu(self.conv32_down(x)))
        for name in self.order:
            x = self.get_submodule(name)(x)
        features: Tensor = self.fc(x.mean((2, 3)))
        return features


def renamed(found: dict[str, Tensor], wanted: Iterable[str]) -> dict[str, Tensor]:
    """The weights ``found`` by face-api's names, such as ``conv32_1/conv1/conv/filters`` (h, w, in, out), by those of :class:`DlibFace`."""
    result = {}
    for name, value in found.items():
        *places, last = name.split("/")
        turned = value.permute(3, 2, 0, 1) if value.ndim == 4 else value.T if value.ndim == 2 else value
        result[".".join([*places, NAMES.get(last, last)]) if places else f"{name}.weight" if name == "fc" else name] = turned.float()
    return result


def _found(weights: str) -> Path:
    within = Path(os.environ.get("TLDA_DATA") or "data") / "weights" / weights
    file = within if within.is_file() else weights_file(weights)
    if file is None:
        raise UserError(f"there are no weights '{weights}': name a file that ends in .safetensors, or null for random ones")
    return file
