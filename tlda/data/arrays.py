"""Images that live in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from tlda.batch import Sample
from tlda.errors import UserError


@dataclass
class Images:
    """Images of bytes (n, c, h, w) and their classes (n,): a batch is one indexing."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(self.images[rows], self.labels[rows], rows)

    @cached_property
    def digest(self) -> str:
        """A hash of every image and label."""
        # Channels that an expansion repeats without a copy are the same bytes: one is enough.
        images = self.images[:, :1] if self.images.stride(1) == 0 else self.images
        return digest((str(tuple(self.images.shape)).encode(), images, self.labels))

    @property
    def content(self) -> str:
        """The same: any change of an image changes it."""
        return self.digest

    def resized(self, size: int) -> Images:
        """The images at ``size`` x ``size``, antialiased."""
        return self if self.images.shape[-2:] == (size, size) else Images(resize(self.images, size), self.labels)

    def filled(self, size: int) -> Images:
        """The images at ``size`` x ``size``, each cut to the square about its ink, which then fills the frame."""
        squares = inked(self.images)
        sides = torch.tensor([square.shape[-1] for square in squares])
        filled = self.images.new_empty(*self.images.shape[:2], size, size)
        for side in sorted(set(sides.tolist())):
            rows = (sides == side).nonzero().flatten()
            filled[rows] = resize(torch.stack([squares[row] for row in rows.tolist()]), size)
        return Images(filled, self.labels)

    def in_colour(self) -> Images:
        """With three channels; those of grey images are one in memory."""
        return Images(self.images.expand(-1, 3, -1, -1), self.labels)

    def of_classes(self, classes: Sequence[int]) -> Images:
        """The rows of ``classes`` alone, in their order, with the labels 0, 1, … in the order of ``classes``."""
        # One place more than there are classes, which is that of the label -1: of no class.
        places = torch.full((2 + max(int(self.labels.max()) if len(self) else 0, *classes, 0),), -1)
        places[torch.tensor(classes, dtype=torch.long)] = torch.arange(len(classes))
        labels = places[self.labels]
        kept = labels >= 0
        return Images(self.images[kept], labels[kept])


def checked(images: Tensor, labels: Tensor, classes: int) -> Images:
    """Images of bytes (n, c, h, w) and their classes, as they come out of a file.

    Args:
        images: the images.
        labels: numbers of any type, (n,).
        classes: the number of classes: a label is a whole number from 0 to ``classes - 1``.

    Raises:
        ValueError: there is no image; not one label an image; a label that is no class.
    """
    if images.ndim != 4 or not images.numel():
        raise ValueError(f"its images are {tuple(images.shape)}, and not some with channels, height and width")
    return Images(images, class_numbers(labels, len(images), classes))


def class_numbers(labels: Tensor, rows: int, classes: int) -> Tensor:
    """The classes (n,) of ``rows`` rows out of a file, see :func:`checked`."""
    if labels.ndim != 1:
        raise ValueError(f"its labels are {tuple(labels.shape)}, and not one number a row")
    if len(labels) != rows:
        raise ValueError(f"it has {rows} rows and {len(labels)} labels")
    # A comparison with NaN is false, so that what is no number is no class either.
    known = (labels >= 0) & (labels < classes) & (labels == labels.long())
    if not known.all():
        row = int((~known).nonzero()[0])
        raise ValueError(f"row {row} has the label {labels[row].item():g}, and its classes are 0 to {classes - 1}")
    return labels.long()


class Splits(NamedTuple):
    """The training rows of a domain, and its test rows where its distributor keeps some apart."""

    train: Images
    test: Images | None

    def map(self, change: Callable[[Images], Images]) -> Splits:
        """Both, changed."""
        return Splits(change(self.train), None if self.test is None else change(self.test))


@dataclass
class Recent:
    """The domains that this process used last: a worker that lives long reads each once, and its memory stays bounded.

    Args:
        limit: the most bytes kept; the last domain is kept even where it is larger.
    """

    limit: int
    kept: OrderedDict[Hashable, Splits] = field(default_factory=OrderedDict)

    def get(self, key: Hashable, make: Callable[[], Splits]) -> Splits:
        """What was kept under ``key``, made where there is none."""
        if key not in self.kept:
            self.kept[key] = make()
        self.kept.move_to_end(key)
        while len(self.kept) > 1 and sum(map(_nbytes, self.kept.values())) > self.limit:
            self.kept.popitem(last=False)
        return self.kept[key]


RECENT = Recent(limit=2**30)
"""The domains that this process keeps, a gibibyte of them."""


def _nbytes(splits: Splits) -> int:
    return sum(split.images.untyped_storage().nbytes() for split in splits if split is not None)


LARGEST = 4096
"""The largest height and width of images: one of them takes 48 MB."""


def require_size(size: int, option: str = "size", what: str = "the height and width of the images") -> int:
    """``size``, which ``option`` gives and which is ``what``, where images can have it."""
    if not 1 <= size <= LARGEST:
        raise UserError(f"--data.{option} is {size}: it is {what}, from 1 to {LARGEST}")
    return size


def runs(rows: int, size: int) -> list[Tensor]:
    """The numbers of ``rows`` rows in order, ``size`` at a time."""
    return [torch.arange(start, min(start + size, rows)) for start in range(0, rows, size)]


def digest(parts: Iterable[bytes | Tensor]) -> str:
    """The hash of bytes and tensors, 16 hexadecimal digits."""
    total = blake2b(digest_size=8)
    for part in parts:
        total.update(part if isinstance(part, bytes) else part.contiguous().numpy().data)
    return total.hexdigest()


INK = 32
"""The least value of a pixel that is ink, white on black."""


def inked(images: Tensor) -> list[Tensor]:
    """The smallest square of each image (c, h, w) that has all of its ink in the middle, black where it reaches beyond the image."""
    ink = (images >= INK).any(1)
    # An image without ink stays whole.
    ink |= ~ink.any(2).any(1)[:, None, None]
    return [_square(image, *edges) for image, edges in zip(images, _edges(ink).tolist(), strict=True)]


def _edges(ink: Tensor) -> Tensor:
    """The first row with ink of each image (n, h, w) and the one after the last, then the columns, (n, 4)."""
    lines = [ink.any(axis).byte() for axis in (2, 1)]
    return torch.stack([edge for line in lines for edge in (line.argmax(1), line.shape[1] - line.flip(1).argmax(1))], 1)


def _square(image: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    side = max(bottom - top, right - left)
    down, across = side - (bottom - top), side - (right - left)
    return pad(image[:, top:bottom, left:right], [across // 2, across - across // 2, down // 2, down - down // 2])


def resize(images: Tensor, size: int) -> Tensor:
    """Bytes (n, c, h, w) at ``size`` x ``size``: bilinear, antialiased."""
    # In parts: the floats of a whole data set would take four times its memory.
    parts = (
        interpolate(part.float(), (size, size), mode="bilinear", antialias=True)
        for part in images.tensor_split(max(1, len(images) // 4096))
    )
    return torch.cat([part.round_().clamp_(0, 255).to(torch.uint8) for part in parts])
