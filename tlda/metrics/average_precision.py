"""How well boxes are found: average precision at overlaps, as COCO measures it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from tlda.batch import Sample

OVERLAPS = tuple(0.5 + 0.05 * step for step in range(10))
"""The least intersections over union of AP50:95; the first is that of AP50."""

RECALLS = 101
"""The recalls, from 0 to 1, whose precisions are averaged."""


def overlaps(first: Tensor, second: Tensor) -> Tensor:
    """The intersection over union (n, m, k) of boxes (n, m, 4) and (n, k, 4): left, top, right and bottom."""
    a, b = first[:, :, None], second[:, None]
    sides = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    shared = sides.clamp_min(0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b)]
    return shared / (areas[0] + areas[1] - shared).clamp_min(1e-9)


def matched(found: Tensor, truth: Tensor) -> Tensor:
    """Class and score of each box found, and for each of :data:`OVERLAPS` 1 where it is right, (n, m, 12).

    Each box in turn, the best first, takes the true box of its class that it overlaps most with of those that none before took; it is
    right where they overlap enough.

    Args:
        found: class, score, left, top, right, bottom, (n, m, 6), best first.
        truth: class, left, top, right, bottom, (n, k, 5); a class below 0 is no box.
    """
    least = torch.tensor(OVERLAPS, device=found.device) - 1e-6
    shares = overlaps(found[..., 2:], truth[..., 1:])
    shares = shares.masked_fill(found[..., :1] != truth[:, None, :, 0], -1)
    right = found.new_zeros(*found.shape[:2], len(OVERLAPS))
    taken = torch.zeros(len(found), len(OVERLAPS), truth.shape[1], dtype=torch.bool, device=found.device)
    for number in range(found.shape[1] if truth.shape[1] else 0):
        share, best = shares[:, number, None].expand_as(taken).masked_fill(taken, -1).max(2)
        hit = share >= least
        right[:, number] = hit.float()
        taken |= torch.zeros_like(taken).scatter(2, best[..., None], hit[..., None])
    return torch.cat((found[..., :2], right), 2)


def average_precision(score: Tensor, right: Tensor, count: int) -> Tensor:
    """The mean of the precisions at :data:`RECALLS` recalls, each the greatest at that recall or a higher one; NaN without true boxes.

    Args:
        score: of the boxes found of one class in all images, (m,).
        right: 1 where one is right, (m,).
        count: the true boxes.
    """
    if not count:
        return score.new_tensor(float("nan"))
    hits = right[score.argsort(descending=True, stable=True)].double().cumsum(0)
    precision = hits / torch.arange(1, len(hits) + 1, device=hits.device)
    envelope = torch.cat((precision.flip(0).cummax(0).values.flip(0), precision.new_zeros(1)))
    recall = torch.linspace(0, 1, RECALLS, dtype=torch.double, device=hits.device) - 1e-9
    return envelope[torch.searchsorted(hits / count, recall)].mean().float()


class AveragePrecision(Metric):
    """The mean of :func:`average_precision` over classes with true boxes and over the first of :data:`OVERLAPS`.

    Args:
        classes: the number of classes.
        levels: how many of the overlaps.
        only: the one class that is measured; all where none is given.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    found: Any
    counts: Tensor

    def __init__(self, classes: int, levels: int, only: int | None = None) -> None:
        super().__init__()
        self.levels, self.classes = levels, range(classes) if only is None else [only]
        self.add_state("found", [], dist_reduce_fx="cat")
        self.add_state("counts", torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, boxes: Tensor, batch: Sample) -> None:
        """Count the :func:`matched` boxes (n, m, 12) of images whose true boxes are the labels (n, k, 5) of ``batch``."""
        rows = boxes[..., : 2 + self.levels].flatten(0, 1)
        own = [rows[:, 0] == number for number in self.classes]
        self.found.append(rows[torch.stack(own).any(0) & (rows[:, 1] > 0)])
        numbers = batch.y[..., 0].flatten()
        self.counts += torch.bincount(numbers[numbers >= 0].long(), minlength=len(self.counts))

    def compute(self) -> Tensor:
        """The mean, 0 to 1; NaN where there is no true box."""
        rows = dim_zero_cat(self.found) if len(self.found) else self.counts.new_zeros(0, 2 + self.levels).float()
        each = []
        for number in self.classes:
            own, count = rows[rows[:, 0] == number], int(self.counts[number])
            each += [average_precision(own[:, 1], own[:, 2 + level], count) for level in range(self.levels)]
        return torch.stack(each).nanmean()
