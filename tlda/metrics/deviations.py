"""Errors of numbers, in the unit of the labels; a label that is NaN is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from tlda.batch import Sample


class RMSE(Metric):
    """The root of the mean squared error: over all numbers that are known, or over those of one ``column``.

    Args:
        values: what the logits (r, n) stand for, (r, n) in the unit of the labels.
        column: which of the numbers counts; all where it is None.
    """

    is_differentiable = False
    full_state_update = False
    higher_is_better: ClassVar[bool] = False  # type: ignore[misc]
    count: Tensor
    squared: Tensor
    absolute: Tensor
    total: Tensor
    total_squared: Tensor

    def __init__(self, values: Callable[[Tensor], Tensor], column: int | None = None) -> None:
        super().__init__()
        self.values, self.column = values, column
        for name in ("count", "squared", "absolute", "total", "total_squared"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the logits (r, n) of a batch."""
        found, wanted = self.values(logits).double(), batch.y.view(len(batch.y), -1).double()
        if self.column is not None:
            found, wanted = found[:, self.column], wanted[:, self.column]
        known = ~wanted.isnan()
        found, wanted = found[known], wanted[known]
        self.count += known.sum()
        self.squared += (found - wanted).square().sum()
        self.absolute += (found - wanted).abs().sum()
        self.total += wanted.sum()
        self.total_squared += wanted.square().sum()

    def compute(self) -> Tensor:
        """The root mean squared error, 0 or more."""
        return (self.squared / self.count).sqrt().float()


class MAE(RMSE):
    """The mean absolute error."""

    def compute(self) -> Tensor:
        """The mean absolute error, 0 or more."""
        return (self.absolute / self.count).float()


class R2(RMSE):
    """The coefficient of determination: 1 is perfect, 0 as good as the mean of what is measured."""

    higher_is_better: ClassVar[bool] = True  # type: ignore[misc]

    def compute(self) -> Tensor:
        """One minus the squared error over that of the mean, at most 1."""
        spread = self.total_squared - self.total.square() / self.count
        return (1 - self.squared / spread).float()
