"""The base class of tasks: what is learnt about a row, declared in one place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tlda.batch import Output, Rows, Sample
from tlda.errors import UserError


class Place(NamedTuple):
    """One measured set of rows: its ``domain``, the ``role`` of that domain, its rows where they are known, and the data set it is of.

    ``part`` is empty unless the data are several data sets. The order of the places is that of the evaluation loaders.
    """

    domain: str
    role: Literal["source", "target"]
    rows: Rows | None = None
    part: str = ""

    def prefix(self, stage: str) -> str:
        """Prefix of a metric's name by stage (``val`` or ``test``) and role.

        Target metrics of validation are prefixed ``oracle/``, because a run could be selected by them.
        """
        return f"{'oracle' if stage == 'val' and self.role == 'target' else stage}/{self.role}"


SOURCE_AND_TARGET = (Place("source", "source"), Place("target", "target"))
"""The places where a trainer was given loaders and no data that name them."""


class Task(ABC):
    """What is learnt: the head, the loss, the metrics and the answers of a row. It owns no data, no optimizer, no trainer and no loop.

    A subclass is a dataclass of plain options, so that a checkpoint carries it. The data make it (:attr:`tlda.data.DomainPair.task`).
    """

    headline: ClassVar[str]
    """The metric of the progress bar, the tables, and the rules that select by the source or, as an oracle, by the target."""

    one_row: ClassVar[bool] = True
    """Whether an input makes one row of features and logits; a text whose words or positions are asked makes many."""

    reads: ClassVar[Literal["rows", "maps"]] = "rows"
    """What of the backbone the head takes."""

    classes: Sequence[str] = ()
    """The names of the classes of a row; empty where a row has none."""

    @property
    def outputs(self) -> Sequence[str]:
        """The names of the head's outputs: by default the classes."""
        return self.classes

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
        """Which rows have a label, a boolean per row."""
        return y >= 0

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        """The loss of each row, (r,): what importance weighting weights."""
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

    def counted(self, output: Output, batch: Sample) -> tuple[Output, Sample]:
        """The rows of a batch that have a label: those that the metrics count."""
        known = self.known(batch.y)
        if known.all():
            return output, batch
        x = batch.x[known] if self.one_row else batch.x
        rows = Sample(x, batch.y[known], batch.row[known], batch.domain[known] if batch.domain.ndim else batch.domain)
        return Output(output.features[known], output.logits[known]), rows

    def refuse(self, other: Task) -> None:
        """Raise :class:`UserError` where ``other``, of a checkpoint, is another task than this, which is that of the data."""
        if type(other) is not type(self):
            raise UserError(
                f"the checkpoint was trained for {type(other).__name__}, the data ask for {type(self).__name__}: use its own data"
            )
        if len(other.outputs) != len(self.outputs):
            raise UserError(
                f"the checkpoint has {len(other.outputs)} classes, the data {len(self.outputs)}: use the data it was trained on"
            )
        for number, (name, own) in enumerate(zip(other.outputs, self.outputs, strict=True)):
            if str(name) != str(own):
                raise UserError(
                    f"class {number} is '{name}' in the checkpoint and '{own}' in the data: use the data it was trained on, with its "
                    "classes in the same order"
                )

    def description(self) -> dict[str, Any]:
        """The task as plain data: its class and its options."""
        cls = type(self)
        options: dict[str, Any] = {field.name: _plain(getattr(self, field.name)) for field in fields(self)} if is_dataclass(self) else {}
        return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": options}


def _plain(value: Any) -> Any:
    if isinstance(value, Task):
        return value.description()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
