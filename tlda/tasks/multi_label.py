"""Several classes per row at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchmetrics import Metric

from tlda.batch import Inputs, Output
from tlda.errors import UserError
from tlda.metrics.scores import MeanAveragePrecision
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class MultiLabel(Task):
    """Any of ``names`` per row: labels (r, n) of 1 and 0, where -1 is unknown. As a row has no one class, losses of classes do not fit.

    Args:
        names: what the labels are called.

    Raises:
        UserError: no names.
    """

    names: Sequence[str]

    headline: ClassVar[str] = "mean_average_precision"

    def __post_init__(self) -> None:
        if not self.names:
            raise UserError("several labels per row need the name of at least one")

    @property
    def outputs(self) -> Sequence[str]:
        return self.names

    def known(self, y: Tensor) -> Tensor:
        return (y >= 0).any(1)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean binary cross-entropy, in nats, over the labels that are known."""
        return self._losses(logits, y).sum() / (y >= 0).sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        return self._losses(logits, y).sum(1) / (y >= 0).sum(1).clamp_min(1)

    def _losses(self, logits: Tensor, y: Tensor) -> Tensor:
        losses = binary_cross_entropy_with_logits(logits.float(), y.clamp_min(0).float(), reduction="none")
        return losses * (y >= 0)

    def metrics(self, place: Place) -> dict[str, Metric]:
        return {"mean_average_precision": MeanAveragePrecision(len(self.names))}

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        return dict(zip(self.names, output.logits.float().sigmoid().T.tolist(), strict=True))
