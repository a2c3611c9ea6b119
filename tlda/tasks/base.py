"""The base class of tasks: what is learnt about a row, declared in one place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tlda.batch import Output, Sample
from tlda.tasks.kept import described, refuse_other_task
from tlda.tasks.place import Place


class Task(ABC):
    """A task declares the head, loss, metrics and answers of a row; it owns no data, no optimizer, no trainer and no loop.

    A subclass is a dataclass of plain options, so that a checkpoint carries it. The data make it (:attr:`tlda.data.DomainPair.task`).
    """

    headline: ClassVar[str]
    """The metric of the progress bar, the tables, and the rules that select by the source or, as an oracle, by the target."""
    one_row: ClassVar[bool] = True
    """Whether an input makes one row of features and logits; a text whose words or positions are asked makes many."""
    classes: Sequence[str] = ()
    """The names of the classes of a row; empty where a row has none."""
    sources: Sequence[str] = ()
    """The names of the source domains where the data pool several, in the order of :attr:`tlda.batch.Sample.domain`; else empty."""

    @property
    def label_names(self) -> Sequence[str]:
        """The names of whole numbers as labels, from 0: by default the classes. Levels in an order have names, and no classes."""
        return self.classes

    @property
    def outputs(self) -> Sequence[str]:
        """The names of the head's outputs: by default those of the labels."""
        return self.label_names

    @property
    def parts(self) -> Mapping[str, Task]:
        """The tasks by name that are measured apart; a task by itself has no name."""
        return {"": self}

    def head(self, num_features: int) -> nn.Module:
        """Make the last layer, for features of width ``num_features``."""
        return nn.Linear(num_features, len(self.outputs))

    @abstractmethod
    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean loss over the rows that have a label; 0 where none has."""

    @abstractmethod
    def metrics(self, place: Place) -> dict[str, Metric]:
        """New metrics of a place by name; each is updated with the logits and the batch of the rows that have a label."""

    @abstractmethod
    def answers(self, output: Output, x: Any) -> dict[str, Sequence[object]]:
        """The columns that ``predict`` writes, by name, with one value per row."""

    def known(self, y: Tensor) -> Tensor:
        """Mark the rows that have a label, a boolean per row."""
        return y >= 0

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        """The loss of each row, (r,), which importance weighting weights."""
        return torch.stack([self.loss(row[None], label[None]) for row, label in zip(logits, y, strict=True)])

    def arrange(self, logits: Tensor, x: Any) -> Tensor:
        """Arrange the head's output for inputs ``x`` as the rows of the loss: as it is, unless a subclass says otherwise."""
        return logits

    def measured_at(self, place: Place, part: str) -> bool:
        """Whether ``place`` has labels of the task ``part``, one of :attr:`parts`."""
        return True

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        """The name of each of :attr:`parts` that ``place`` measures, with the output and the batch with labels of that part."""
        yield "", output, batch

    def refuse(self, other: Task) -> None:
        """Raise :class:`UserError` where ``other``, of a checkpoint, is another task than this, which is that of the data."""
        refuse_other_task(self, other)

    def description(self) -> dict[str, Any]:
        """The task as plain data: its class and its options."""
        return described(self)
