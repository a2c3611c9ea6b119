"""The base class of methods that weigh the source's rows in the task's loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from tlda.batch import Output, Pair, Sample
from tlda.method import Method


class Weighted(Method, ABC):
    """The base of methods in which a source row counts as often as the target has its like: the task's loss is a weighted mean."""

    @property
    def batch_type(self) -> type:
        return Pair

    @abstractmethod
    def weights(self, rows: Sample) -> Tensor:
        """The weight of each of the source's ``rows``, (n,)."""

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        """The mean of the weighted losses of the rows that have a label, and every added loss."""
        rows = batch.source
        losses = self.weights(rows) * self.task.risk(self.network.with_labels(source.logits, rows.y), rows.y)
        return {"task": losses.sum() / self.task.known(rows.y).sum().clamp_min(1), **self.added(batch, source, target)}


def scattered(numbers: Tensor) -> Tensor:
    """Numbers (n,) that follow from ``numbers`` and from no order among them (Knuth, TAOCP 6.4): rows are often stored class by class."""
    return numbers * 2654435761 % 2**32 >> 16
