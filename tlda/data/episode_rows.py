"""Rows that are read an episode at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from tlda.batch import Episode
from tlda.data.rows import Over


@dataclass
class EpisodeRows(Over):
    """Rows that are read an episode at a time: the first ``shots`` of each class among them are the support."""

    shots: int

    def __getitem__(self, rows: Tensor) -> Episode:
        sample = self.data[rows]
        y = in_order(sample.y)
        nth = one_hot(y).cumsum(0)[torch.arange(len(y)), y]
        return Episode(sample.x, y, sample.row, nth <= self.shots, sample.domain)


def in_order(labels: Tensor) -> Tensor:
    """Labels (n,) as numbers from 0 in the order in which they first come, so that a class has no number that lasts."""
    names, places = torch.unique(labels, return_inverse=True)
    numbers = torch.arange(len(labels))
    first = torch.full((len(names),), len(labels)).scatter_reduce(0, places, numbers, "amin")
    return first.argsort().argsort()[places]
