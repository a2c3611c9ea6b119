"""Several tasks on one network: their heads, and their gradients on what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from tlda.batch import Output, Sample
from tlda.errors import UserError
from tlda.losses.weightings import Weighting
from tlda.nn.gates import Gate, gradient_products, shared_parameters
from tlda.tasks.base import Place, Task

SPLIT = "the tasks of several data sets are learnt together by --model MultiTask"


@dataclass
class Several(Task):
    """Several tasks: by data set (which has no name where there is one), the task of each of its labels by name.

    Raises:
        UserError: two tasks have one name, or a name that no part of a network can have.
    """

    by_data: Mapping[str, Mapping[str, Task]]

    def __post_init__(self) -> None:
        names = [name for tasks in self.by_data.values() for name in tasks]
        require_distinct_tasks(names)
        for name in names:
            if not name or "." in name or hasattr(nn.ModuleDict(), name):
                raise UserError(f"--data.tasks: '{name}' can name no part of a network: take another word, without a dot")

    @property
    def first(self) -> Task:
        """The first task, which rules of selection look at."""
        return next(iter(self.parts.values()))

    @property
    def parts(self) -> Mapping[str, Task]:
        return {name: task for tasks in self.by_data.values() for name, task in tasks.items()}

    @property
    def headline(self) -> str:  # type: ignore[override]
        """That of the first task."""
        return self.first.headline

    @property
    def classes(self) -> Sequence[str]:  # type: ignore[override]
        """Those of the first task."""
        return self.first.classes

    def known(self, y: Tensor) -> Tensor:
        return self.first.known(first_label(y))

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """That of the first task."""
        return self.first.loss(logits, first_label(y))

    def metrics(self, place: Place) -> dict[str, Metric]:
        return self.first.metrics(place)

    def answers(self, output: Output, x: Any) -> dict[str, Sequence[object]]:
        return self.first.answers(output, x)

    def arrange(self, logits: Tensor, x: Any) -> Tensor:
        return self.first.arrange(logits, x)

    def refuse(self, other: Task) -> None:
        if not isinstance(other, Several) or {n: list(t.outputs) for n, t in other.parts.items()} != {
            n: list(t.outputs) for n, t in self.parts.items()
        }:
            raise UserError("the checkpoint was trained on other tasks or classes than those of the data: use the data it was trained on")

    def measured_at(self, place: Place, part: str) -> bool:
        return part in self.by_data.get(place.part, {})

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        if not isinstance(head, TaskHeads):
            raise UserError(SPLIT)
        for name, (own, sample) in head.answers(place.part, output.features, batch).items():
            yield name, own, sample


def require_distinct_tasks(names: Sequence[str]) -> None:
    """Raise :class:`UserError` where two tasks have one name."""
    if len(set(names)) < len(names):
        raise UserError(f"--data.tasks: two tasks have one name: {', '.join(names)}")


def first_label(labels: Tensor) -> Tensor:
    """The labels (n,) of the first task, of labels (n,) or (n, tasks)."""
    return labels if labels.ndim == 1 else labels[:, 0]


def require_one_count(losses: nn.ModuleDict, task: Several) -> None:
    """Raise :class:`UserError` where the data sets' first tasks differ in their classes, and one of the ``losses`` is made for them."""
    counts = {part: len(next(iter(tasks.values())).outputs) for part, tasks in task.by_data.items()}
    for name, loss in losses.items():
        if loss.made_for_classes and len(set(counts.values())) > 1:
            known = ", ".join(f"{part} {count}" for part, count in counts.items())
            raise UserError(
                f"the loss '{name}' is made for one number of classes, and the data sets have {known}: leave it out of --model.plus"
            )


class TaskHeads(nn.Module):
    """A head per task on shared features, and the weighting of their losses. Called by itself, it is the head of the first task.

    Args:
        num_features: the width of the features.
        task: the tasks.
        weighting: how the tasks' losses become one.
    """

    def __init__(self, num_features: int, task: Several, weighting: Weighting) -> None:
        super().__init__()
        self.by_data, self.weighting = task.by_data, weighting
        self.tasks = nn.ModuleDict({name: part.head(num_features) for name, part in task.parts.items()})
        self.gates = {name: Gate() for name in self.tasks}
        weighting.build(len(self.tasks))

    def forward(self, features: Tensor) -> Tensor:
        """The logits (n, classes) of the first task, of features (n, d)."""
        logits: Tensor = next(iter(self.tasks.values()))(features)
        return logits

    def answers(self, part: str, features: Tensor, batch: Sample) -> dict[str, tuple[Output, Sample]]:
        """By task of a data set, the output for a batch and the batch with that task's labels: (n,) for one task, else (n, tasks)."""
        tasks = self.by_data[part]
        labels = batch.y.unbind(1) if len(tasks) > 1 else (batch.y,)
        return {
            name: (Output(features, task.arrange(self.tasks[name](self.gates[name](features)), batch.x)), batch._replace(y=y))
            for (name, task), y in zip(tasks.items(), labels, strict=True)
        }

    def first(self, part: str, outputs: Sequence[Output], pair: Any) -> Iterator[Output]:
        """The ``outputs`` of the first and the last domain of ``pair``, with the logits of the first task of their data set."""
        name, task = next(iter(self.by_data[part].items()))
        for output, domain in zip(outputs, (pair[0], pair[-1]), strict=True):
            yield Output(output.features, task.arrange(self.tasks[name](output.features), domain.x))

    def losses(self, part: str, features: Tensor, batch: Sample) -> dict[str, Tensor]:
        """By task of a data set, the loss of a batch."""
        return {
            name: self.by_data[part][name].loss(output.logits, own.y) for name, (output, own) in self.answers(part, features, batch).items()
        }

    def weigh(self, losses: Mapping[str, Tensor], shared: Sequence[nn.Module], reduce: Callable[[Tensor], Any]) -> dict[str, Tensor]:
        """The losses by task, weighted, after the gates are set to what multiplies their gradients on the ``shared`` modules.

        ``reduce`` averages over processes.
        """
        values = torch.stack([loss.float() for loss in losses.values()])
        seen = reduce(values.detach().clone())
        self.weighting.observe(seen)
        for task in losses:
            self.gates[task].coefficient = 1.0
        if self.weighting.gradients != "none":
            parameters = shared_parameters(shared, self.weighting.gradients)
            table = gradient_products(values.unbind(), parameters, reduce)
            for task, coefficient in zip(losses, self.weighting.coefficients(table, seen).tolist(), strict=True):
                self.gates[task].coefficient = coefficient
        return dict(zip(losses, self.weighting(values).unbind(), strict=True))
