"""Rotated MNIST: each domain has the digits at one angle."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from tlda.data.arrays import Images, resize, runs
from tlda.data.digits import READERS
from tlda.data.download import Store
from tlda.data.pair import DomainPair
from tlda.data.pooling import require_apart
from tlda.data.rows import Domain, Pooled
from tlda.errors import UserError, near
from tlda.tasks import Classification, Task

ANGLES = ("0", "15", "30", "45", "60", "75")
"""The domains: angles in degrees, counterclockwise."""


class RotatedMNIST(DomainPair):
    """MNIST at six angles (Ghifary et al., ICCV 2015), as DomainBed deals it out (Gulrajani et al., ICLR 2021).

    All 70,000 images are shuffled and dealt to the six domains, so that no image is in two of them, and are turned with bilinear
    interpolation. No rows are kept apart: ``holdout`` says how many are.

    Args:
        source: the angles that are trained on, of 0, 15, 30, 45, 60 and 75.
        target: the angle that measures.
        rows: the images of each angle; by default all, 11,666.
        size: the height and width of the images.
        draw: the seed of which image is in which domain; by default 0, whatever the run's.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        download: fetch what is missing.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: another angle, one that is named twice, or more rows than there are.
    """

    def __init__(
        self,
        source: Sequence[str | int] = ANGLES[1:],
        target: str | int = "0",
        rows: int | None = None,
        size: int = 28,
        draw: int | None = None,
        root: str | None = None,
        download: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sources, self.target = [str(angle) for angle in source], str(target)
        for angle in (*self.sources, self.target):
            if angle not in ANGLES:
                raise UserError(f"there is no angle '{angle}' of RotatedMNIST{near(angle, ANGLES)}")
        if not self.sources:
            raise UserError("--data.source names no angle: give one or more to train on")
        require_apart(self.sources, [self.target])
        self.source, self.rows, self.size, self.draw = "+".join(self.sources), rows, size, draw or 0
        self.store = Store(Path(root or os.environ.get("TLDA_DATA") or "data"), download)

    @property
    def task(self) -> Task:
        task = Classification([str(digit) for digit in range(10)])
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def load(self) -> tuple[Domain, Domain]:
        """The angles of the source, pooled, and the target's."""
        train, test = READERS["mnist"](self.store)
        assert test is not None
        images, labels = torch.cat((train.images, test.images)), torch.cat((train.labels, test.labels))
        order = torch.randperm(len(labels), generator=Generator().manual_seed(self.draw))
        most = len(labels) // len(ANGLES)
        if self.rows is not None and not 1 <= self.rows <= most:
            raise UserError(f"--data.rows is {self.rows}: each angle has 1 to {most}")

        def turned(angle: str) -> Images:
            own = order[ANGLES.index(angle) :: len(ANGLES)][: self.rows or most]
            found = rotated(images[own], float(angle))
            return Images(found if self.size == found.shape[-1] else resize(found, self.size), labels[own])

        parts = [turned(angle) for angle in self.sources]
        return Domain(self.source, Pooled(parts) if len(parts) > 1 else parts[0]), Domain(self.target, turned(self.target))


def rotated(images: Tensor, degrees: float) -> Tensor:
    """Bytes (n, c, h, w) turned counterclockwise about their centres, bilinear, black where nothing was."""
    turn = math.radians(degrees)
    matrix = torch.tensor([[math.cos(turn), -math.sin(turn), 0.0], [math.sin(turn), math.cos(turn), 0.0]])
    parts = [images[rows].float() for rows in runs(len(images), 4096)]
    grids = [affine_grid(matrix.expand(len(part), 2, 3), list(part.shape), align_corners=False) for part in parts]
    turned = [grid_sample(part, grid, align_corners=False) for part, grid in zip(parts, grids, strict=True)]
    return torch.cat(turned).round_().clamp_(0, 255).to(torch.uint8)
