"""Image files, each with the boxes in it, and how boxes go with an image that is moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from tlda.batch import ONE_DOMAIN, Sample
from tlda.data.box_layouts import Annotated
from tlda.data.cache import size_limit
from tlda.data.sized_files import SizedFiles
from tlda.errors import UserError

VISIBLE = 0.25
"""The least share of a box that is still in a moved image, where the box is kept."""

BENT = 1.0
"""How many pixels a moved image may be off an affine map."""


@dataclass
class BoxedFiles(SizedFiles):
    """Images with boxes: a row is an image (3, h, w) of bytes, and its label boxes (``most``, 5): class, left, top, right and bottom in
    pixels; a class of -1 is no box, and NaN says that the image is not annotated.

    Boxes of classes without a number are left out.
    """

    found: Sequence[Annotated]
    size: tuple[int, int]
    numbers: Mapping[str, int]
    most: int
    kept_in: ClassVar[str] = "boxed"

    def __post_init__(self) -> None:
        self.images: Sequence[Path] = [one.image for one in self.found]

    @cached_property
    def labels(self) -> Tensor:
        """Whether each image is annotated: 0, or -1 where it is not, (n,)."""
        return torch.tensor([-1 if one.boxes is None else 0 for one in self.found], dtype=torch.long)

    @cached_property
    def boxes(self) -> Tensor:
        """The boxes of all images, (n, ``most``, 5)."""
        height, width = self.size
        boxes = torch.full((len(self), self.most, 5), -1.0)
        for row, one in zip(boxes, self.found, strict=True):
            known = [(self.numbers[box.name], *box[1:]) for box in one.boxes or () if box.name in self.numbers]
            row[: len(known)] = torch.tensor(known).view(-1, 5) * torch.tensor([1, width, height, width, height])
            if one.boxes is None:
                row.fill_(torch.nan)
        return boxes

    def __getitem__(self, rows: Tensor) -> Sample:
        read = self.pictures
        x = read[rows] if isinstance(read, Tensor) else torch.stack([read(row) for row in rows.tolist()])
        return Sample(x, self.boxes[rows], rows, ONE_DOMAIN)

    @cached_property
    def pictures(self) -> Tensor | Callable[[int], Tensor]:
        """All images (n, 3, h, w) in bytes, or what reads one where the cache does not hold them."""
        if 3 * len(self) * self.size[0] * self.size[1] > size_limit():
            return self.image
        return self.kept("images", self.image)

    @property
    def way(self) -> str:
        return f"{self.size} {list(self.numbers)}"

    def files(self) -> Iterator[Path]:
        yield from self.images
        yield from dict.fromkeys(one.file for one in self.found if one.file is not None)


def moved_boxes(change: Callable[[Tensor], Tensor], x: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Images (n, c, h, w) in 0..1 moved by ``change``, and their boxes (n, k, 5) where their corners went.

    Each pixel carries where it was, as three more channels, from which the affine map of each image is found, to a thousandth of a pixel.
    A box of which less than :data:`VISIBLE` stays in the image is left out.

    Raises:
        UserError: the images are not moved by affine maps.
    """
    height, width = x.shape[-2:]
    down, right = torch.meshgrid(*(torch.linspace(0, 1, n, device=x.device, dtype=x.dtype) for n in (height, width)), indexing="ij")
    places = torch.stack((right, down, torch.ones_like(down))).expand(len(x), -1, -1, -1)
    out = change(torch.cat((x, places), 1))
    x, places = out[:, :-3], out[:, -3:].double()
    scale = torch.tensor([width - 1, height - 1], device=x.device, dtype=torch.double)
    maps = torch.stack([_forward(place, scale) for place in places])
    return x, _carried(boxes, maps, (x.shape[-1], x.shape[-2]))


def _forward(place: Tensor, scale: Tensor) -> Tensor:
    """The affine map (2, 3) from where pixels were to where they are, of one image's ``place`` (3, h, w): where each was, and whether it
    was in the image at all."""
    inside = (place[2] > 0.999) & (place[:2] > 1e-4).all(0) & (place[:2] < 1 - 1e-4).all(0)
    if int(inside.sum()) < 3:
        return place.new_zeros(2, 3)  # nothing of the image is left
    now = inside.nonzero().flip(1).to(place) + 0.5
    before = place[:2, inside].T * scale + 0.5
    known = torch.cat((before, torch.ones_like(before[:, :1])), 1)
    solved = torch.linalg.lstsq(known, now).solution
    if float((known @ solved - now).abs().max()) > BENT:
        raise UserError("an augmentation bends images, and boxes go along with affine maps alone: leave it out of --data.augment")
    solution: Tensor = solved.T
    return solution


def _carried(boxes: Tensor, maps: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes (n, k, 5) after affine ``maps`` (n, 2, 3), upright and cut to ``size`` (width, height)."""
    left, top, right, bottom = boxes[..., 1:].double().unbind(-1)
    corners = torch.stack([torch.stack((x, y, torch.ones_like(x)), -1) for x in (left, right) for y in (top, bottom)], 2)
    there = torch.einsum("nij,nkcj->nkci", maps, corners)
    whole = torch.cat((there.amin(2), there.amax(2)), -1)
    cut = whole.minimum(whole.new_tensor([*size, *size])).clamp_min(0)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (cut, whole)]
    gone = (areas[0] <= 0) | (areas[0] < VISIBLE * areas[1])
    kept = torch.cat((boxes[..., :1], cut.to(boxes)), -1)
    return torch.where((gone | (boxes[..., 0] < 0))[..., None], torch.full_like(kept, -1), kept)
