"""Squares cut out of images: the middle where they are measured, any place in training, ten places where a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.data.rows import Over

View = Literal["middle", "whole", "ten"]
"""How images that are larger than the crop are read: its middle, whole, or cut in ten."""

VIEW: ContextVar[View] = ContextVar("VIEW", default="middle")
"""The view in which images are read now. Whoever reads rows without asking gets the middle, as a test does."""


class Ragged(NamedTuple):
    """Images of different heights and widths: their ``values`` one after the other, and the (c, h, w) of each."""

    values: Tensor
    shapes: list[tuple[int, ...]]


def together(images: Sequence[Tensor]) -> Tensor | Ragged:
    """Images (c, h, w) as one tensor (n, c, h, w) where all have one shape, else as :class:`Ragged`."""
    shapes = [tuple(image.shape) for image in images]
    if len(set(shapes)) == 1:
        return torch.stack(list(images))
    return Ragged(torch.cat([image.flatten() for image in images]), shapes)


def apart(images: Tensor | Ragged) -> list[Tensor]:
    """The images (c, h, w) of :func:`together`, each a view."""
    if isinstance(images, Tensor):
        return list(images)
    shapes = [tuple(shape) for shape in images.shapes]
    parts = torch.split(images.values, [c * h * w for c, h, w in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def window(image: Tensor, top: int, left: int, side: int) -> Tensor:
    """The square (c, side, side) of an image whose upper left corner lies at ``top`` and ``left``, a view."""
    return image[:, top : top + side, left : left + side]


def middle(image: Tensor, side: int) -> Tensor:
    """The square in the middle of an image, where torchvision's ``CenterCrop`` cuts it."""
    top, left = (round((length - side) / 2) for length in image.shape[1:])
    return window(image, top, left, side)


def ten(image: Tensor, side: int) -> Tensor:
    """The squares (10, c, side, side) in the corners and the middle of an image, and of its mirror image (Krizhevsky et al., 2012)."""
    down, right = (length - side for length in image.shape[1:])
    places = [(0, 0), (0, right), (down, 0), (down, right)]
    five = [[*(window(x, *place, side) for place in places), middle(x, side)] for x in (image, image.flip(2))]
    return torch.stack([*five[0], *five[1]])


def viewed(images: Sequence[Tensor], side: int | None) -> Tensor | Ragged:
    """Images (c, h, w) as the current view has them, cut to ``side`` where they are larger: a batch's ``x``.

    Returns:
        (n, c, side, side); (n, 10, c, side, side) of ten crops; the images themselves where they are read whole, or without ``side``.
    """
    view = VIEW.get()
    if side is None or view == "whole":
        return together(images)
    return torch.stack([ten(image, side) if view == "ten" else middle(image, side) for image in images])


@contextmanager
def viewing(view: View) -> Iterator[None]:
    """Read images in ``view`` within the block."""
    token = VIEW.set(view)
    try:
        yield
    finally:
        VIEW.reset(token)


@dataclass
class Viewed(Over):
    """Rows whose images are read in a ``view``, whatever lies between them and the files."""

    view: View

    def __getitem__(self, rows: Tensor) -> Sample:
        with viewing(self.view):
            return self.data[rows]
