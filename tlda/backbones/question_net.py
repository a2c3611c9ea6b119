"""A small network for a question about an image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from tlda.backbones.base import Backbone, require_shape
from tlda.batch import ImageTokens, Inputs
from tlda.errors import UserError


class Product(nn.Module):
    """The product of the image's and the question's features, number by number."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()

    def forward(self, maps: Tensor, image: Tensor, question: Tensor) -> Tensor:
        return image * question


class FiLM(nn.Module):
    """The question scales and shifts the maps of a convolution (Perez et al., AAAI 2018, eq. 2), whose maxima are then taken."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels, affine=False)
        self.modulation, self.last = nn.Linear(width, 2 * channels), nn.Linear(channels, width)

    def forward(self, maps: Tensor, image: Tensor, question: Tensor) -> Tensor:
        scale, shift = self.modulation(question)[..., None, None].chunk(2, 1)
        changed = torch.relu((1 + scale) * self.norm(self.convolution(maps)) + shift)
        return torch.tanh(self.last(changed.amax((2, 3))))


class Attention(nn.Module):
    """The question weighs the positions of the maps, and is multiplied with their mean (Yang et al., CVPR 2016, who add them)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.query, self.value = nn.Linear(width, channels), nn.Linear(channels, width)

    def forward(self, maps: Tensor, image: Tensor, question: Tensor) -> Tensor:
        positions = maps.flatten(2)
        scores = torch.einsum("nc,ncp->np", self.query(question), positions) / positions.shape[1] ** 0.5
        mean = torch.einsum("np,ncp->nc", scores.softmax(1), positions)
        return torch.tanh(self.value(mean)) * question


FUSIONS = {"product": Product, "film": FiLM, "attention": Attention}


class QuestionNet(Backbone):
    """Features of the image, of the question, and of both, side by side: (n, 3 x ``width``) of :class:`tlda.batch.ImageTokens`.

    Convolutions with a stride of two, BatchNorm and ReLU make maps of the image, whose maxima over all positions are its features; those
    of the question are two layers over the sum of its words' vectors, or over the last state of a GRU. A linear head cannot combine image
    and question itself: what is above its answers by either comes from the third part. What ``sees`` leaves out is zero.

    Args:
        words: the words of the vocabulary. The error for a wrong number names the right one.
        channels: the channels of the images.
        widths: the channels after each convolution.
        width: the width of each of the three parts, and of a word's vector.
        fusion: how image and question meet.
        reader: how the question's words meet.
        sees: what the network looks at; ``nothing`` leaves the answer that is most frequent.

    Raises:
        UserError: an option out of its range, inputs that are no images with texts, or a word beyond the vocabulary.
    """

    def __init__(
        self,
        words: int = 26,
        channels: int = 3,
        widths: Sequence[int] = (16, 32, 64),
        width: int = 64,
        fusion: Literal["product", "film", "attention"] = "product",
        reader: Literal["bag", "gru"] = "bag",
        sees: Literal["both", "image", "question", "nothing"] = "both",
    ) -> None:
        if not widths or min(words, channels, width, *widths) < 1:
            raise UserError(f"QuestionNet needs layers of one channel or more: words is {words}, width is {width}, widths {list(widths)}")
        super().__init__(3 * width)
        self.channels, self.words, self.width, self.sees = channels, words, width, sees
        layers = [
            layer
            for before, after in pairwise((channels, *widths))
            for layer in (nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        ]
        self.layers, self.pooled = nn.Sequential(*layers), nn.Linear(widths[-1], width)
        self.embedding = nn.Embedding(words + 1, width)
        self.gru = nn.GRU(width, width, batch_first=True) if reader == "gru" else None
        self.reader = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.fusion = FUSIONS[fusion](widths[-1], width)

    def forward(self, x: Inputs) -> Tensor:
        if not isinstance(x, ImageTokens):
            raise UserError("QuestionNet takes images with questions: use --data EasyVQA, or another backbone")
        require_shape(x.images, self, self.channels, None)
        blank = x.images.new_zeros(len(x.images), self.width)
        question = self.read(x.tokens).to(blank.dtype) if self.sees in ("both", "question") else blank
        if self.sees not in ("both", "image"):
            return torch.cat([blank, question, blank], 1)
        maps = self.layers(x.images.sub(self.mean).div(self.std))
        image = torch.tanh(self.pooled(maps.amax((2, 3))))
        return torch.cat([image, question, self.fusion(maps, image, question) if self.sees == "both" else blank], 1)

    def read(self, tokens: Tensor) -> Tensor:
        """Features (n, ``width``) of questions, word ids (n, l)."""
        there = tokens >= 0
        if tokens.max() > self.words:
            raise UserError(f"QuestionNet has {self.words} words, and the data have {tokens.max()} or more: set --model.backbone.words")
        words = self.embedding(tokens.clamp_min(0)) * there[..., None]
        if self.gru is None:
            summed = words.sum(1)
        else:
            states = self.gru(words)[0]
            summed = states[torch.arange(len(states)), there.sum(1) - 1]
        features: Tensor = self.reader(summed)
        return features

    def example(self, size: int | None = None) -> Tensor:
        raise UserError("QuestionNet takes images with questions, which no export has: use tlda.load(RUN).network")
