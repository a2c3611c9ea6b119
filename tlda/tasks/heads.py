"""The heads of several tasks on one network, and the weighting of their losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from tlda.batch import Batch, Output, Sample
from tlda.errors import UserError
from tlda.losses.weightings import Weighting
from tlda.nn.gates import Gate, gradient_products, shared_parameters
from tlda.tasks.base import Task


class TaskHeads(nn.Module):
    """A head per task on shared features, and the weighting of their losses. Called by itself, it is the head of the first task.

    Args:
        num_features: the width of the features.
        by_data: the tasks by name, of each data set (:attr:`tlda.tasks.Several.by_data`).
        weighting: how the tasks' losses become one.
    """

    def __init__(self, num_features: int, by_data: Mapping[str, Mapping[str, Task]], weighting: Weighting) -> None:
        super().__init__()
        self.by_data, self.weighting = by_data, weighting
        self.tasks = nn.ModuleDict({name: task.head(num_features) for tasks in by_data.values() for name, task in tasks.items()})
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

    def first(self, part: str, outputs: Sequence[Output], pair: Batch) -> Iterator[Output]:
        """The ``outputs`` of the first and the last domain of ``pair``, with the logits of the first task of their data set."""
        name, task = next(iter(self.by_data[part].items()))
        for output, domain in zip(outputs, (pair[0], pair[-1]), strict=True):
            yield Output(output.features, task.arrange(self.tasks[name](output.features), domain.x))

    def losses(self, part: str, features: Tensor, batch: Sample) -> dict[str, Tensor]:
        """By task of a data set, the loss of a batch."""
        return {
            name: self.by_data[part][name].loss(output.logits, own.y) for name, (output, own) in self.answers(part, features, batch).items()
        }

    def weigh(self, losses: Mapping[str, Tensor], shared: Sequence[nn.Module], reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
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


def first_label(labels: Tensor) -> Tensor:
    """The labels (n,) of the first task, of labels (n,) or (n, tasks)."""
    return labels if labels.ndim == 1 else labels[:, 0]


def require_one_count(losses: nn.ModuleDict, by_data: Mapping[str, Mapping[str, Task]]) -> None:
    """Raise :class:`UserError` where the data sets' first tasks differ in their classes, and one of the ``losses`` is made for them."""
    counts = {part: len(next(iter(tasks.values())).outputs) for part, tasks in by_data.items()}
    for name, loss in losses.items():
        if loss.made_for_classes and len(set(counts.values())) > 1:
            known, out = ", ".join(f"{part} {count}" for part, count in counts.items()), "leave it out of --model.plus"
            raise UserError(f"the loss '{name}' is made for one number of classes, and the data sets have {known}: {out}")
