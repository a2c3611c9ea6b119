"""The return of episodes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from tlda.batch import Sample


class Return(Metric):
    """The mean return of episodes, which are the rows: their labels are their returns."""

    is_differentiable = False
    full_state_update = False
    higher_is_better = True
    count: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("count", "total"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the episodes of a batch."""
        self.count += len(batch.y)
        self.total += batch.y.double().sum()

    def compute(self) -> Tensor:
        """The mean over all episodes."""
        return (self.total / self.count).float()
