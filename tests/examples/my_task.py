"""A task of one's own, in a file of one's own: levels that have an order (CORAL: Cao et al., 2020, sec. 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tlda.batch import Output
from tlda.data import Tabular
from tlda.metrics.deviations import MAE
from tlda.tasks import Place, Task


class Thresholds(nn.Module):
    """One score per row, and one bias per threshold: features (r, d) to logits (r, levels - 1)."""

    def __init__(self, num_features: int, count: int) -> None:
        super().__init__()
        self.score, self.bias = nn.Linear(num_features, 1, bias=False), nn.Parameter(torch.zeros(count))

    def forward(self, features: Tensor) -> Tensor:
        return torch.add(self.score(features), self.bias)


@dataclass
class Ordinal(Task):
    """One of ``levels``, in order, per row; a label is the number of its level, or -1."""

    levels: Sequence[str]
    headline = "mae"

    @property
    def label_names(self) -> Sequence[str]:
        return self.levels

    def head(self, num_features: int) -> nn.Module:
        return Thresholds(num_features, len(self.levels) - 1)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        known = self.known(y)
        above = (y[:, None] > torch.arange(logits.shape[1], device=y.device)).to(logits)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, above, reduction="none").sum(1)
        return (losses * known).sum() / known.sum().clamp_min(1)

    def metrics(self, place: Place) -> dict[str, Metric]:
        return {"mae": MAE(lambda logits: (logits > 0).sum(1, keepdim=True))}

    def answers(self, output: Output, x: Any) -> dict[str, Sequence[object]]:
        return {"level": [self.levels[number] for number in (output.logits > 0).sum(1).tolist()]}


class Graded(Tabular):
    """A table whose label is a level, the lowest first."""

    @property
    def task(self) -> Task:
        return Ordinal(list(self.class_of))
