"""What several tasks on one network are made of: their heads, their measures, and their gradients on what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tlda.batch import Output, Sample
from tlda.errors import UserError
from tlda.inputs import arranged
from tlda.losses.weightings import Weighting
from tlda.metrics.measures import Measures

Parts = dict[str, dict[str, int]]
"""By data set, the number of classes of each of its tasks."""


def parts_of(num_classes: int | Mapping[str, Any]) -> Parts:
    """The tasks that a number of classes, one by task, or one by data set and task, stands for."""
    if isinstance(num_classes, int):
        return {"": {"task": num_classes}}
    if all(isinstance(value, int) for value in num_classes.values()):
        return {"": dict(num_classes)}
    return {part: dict(tasks) for part, tasks in num_classes.items()}


def first_of(parts: Parts) -> int:
    """The number of classes of the first task."""
    return next(count for tasks in parts.values() for count in tasks.values())


def require_one_count(losses: nn.ModuleDict, parts: Parts) -> None:
    """Raise :class:`UserError` where the data sets' first tasks differ in their classes, and one of the ``losses`` is made for them."""
    counts = {part: next(iter(tasks.values())) for part, tasks in parts.items()}
    for name, loss in losses.items():
        if loss.made_for_classes and len(set(counts.values())) > 1:
            known = ", ".join(f"{part} {count}" for part, count in counts.items())
            raise UserError(
                f"the loss '{name}' is made for one number of classes, and the data sets have {known}: leave it out of --model.plus"
            )


class TaskMeasures(nn.ModuleDict):
    """The measures of each task, by its name."""

    def __init__(self, measures: Mapping[str, Measures]) -> None:
        super().__init__(measures)
        for task, own in measures.items():
            own.task = task

    def matrix(self) -> Any:
        """That of the first task."""
        return measured(self).matrix()


def require_task_names(names: Sequence[str]) -> None:
    """Raise :class:`UserError` where two tasks have one name, or where a name is none that a part of a network can have."""
    if len(set(names)) < len(names):
        raise UserError(f"--data.tasks: two tasks have one name: {', '.join(names)}")
    for name in names:
        if not name or "." in name or hasattr(TaskMeasures({}), name):
            raise UserError(f"--data.tasks: '{name}' can name no part of a network: take another word, without a dot")


def measured(measures: Measures | TaskMeasures, task: str | None = None) -> Measures:
    """The measures of a ``task``, or of the first: the one that there is, where data have one."""
    found: Any = measures[task or next(iter(measures))] if isinstance(measures, TaskMeasures) else measures
    return found  # type: ignore[no-any-return]


def task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of the rows that have a label: -1 is none; 0 where none has."""
    return cross_entropy(logits, labels, ignore_index=-1, reduction="sum") / (labels >= 0).sum().clamp_min(1)


# Gradients


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Gate) -> Tensor:
        ctx.gate = gate
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.gate.coefficient * grads[0], None


class Gate:
    """The identity whose gradient is multiplied by ``coefficient``, as that is when the gradient comes.

    Between the shared features and a task's head it weighs the task's gradient on all that is shared, and leaves its head's.
    """

    coefficient: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        passed: Tensor = _Scale.apply(x, self)
        return passed


def shared_parameters(modules: Sequence[nn.Module], which: str) -> list[nn.Parameter]:
    """The trained parameters of ``modules``: ``all``, or the weights of the ``last`` layer.

    Raises:
        UserError: there are none: all is frozen.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    chosen = parameters if which == "all" else [p for p in parameters if p.ndim > 1][-1:]
    if not chosen:
        raise UserError(
            "the weighting looks at the tasks' gradients on the shared network, which is frozen: use Equal, or train some of it"
        )
    return chosen


def gradient_products(losses: Sequence[Tensor], parameters: Sequence[Tensor], reduce: Callable[[Tensor], Any]) -> Tensor:
    """The dot products (t, t) of the gradients of the losses, each first averaged over processes by ``reduce``."""
    found = [torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True) for loss in losses]
    table = losses[0].new_zeros(len(losses), len(losses))
    for parts in zip(*found, strict=True):  # of one parameter at a time: all together would be a copy of the network for each task
        rows = reduce(torch.stack([part.flatten().to(table) for part in parts]))
        table += rows @ rows.T
    return table.detach()


# Heads


class TaskHeads(nn.Module):
    """A linear layer a task on shared features, and the weighting of their losses. Called by itself, it is the layer of the first task.

    Args:
        num_features: the width of the features.
        parts: the number of classes by data set and task.
        weighting: how the tasks' losses become one.
    """

    def __init__(self, num_features: int, parts: Parts, weighting: Weighting) -> None:
        super().__init__()
        self.parts, self.weighting = parts, weighting
        self.tasks = nn.ModuleDict({task: nn.Linear(num_features, n) for tasks in parts.values() for task, n in tasks.items()})
        self.gates = {task: Gate() for task in self.tasks}
        weighting.build(len(self.tasks))

    def forward(self, features: Tensor) -> Tensor:
        """The logits (n, classes) of the first task, of features (n, d)."""
        logits: Tensor = next(iter(self.tasks.values()))(features)
        return logits

    def answers(self, part: str, features: Tensor, batch: Sample) -> dict[str, tuple[Output, Sample]]:
        """By task of a data set, the output for a batch and the batch with that task's labels: (n,) for one task, else (n, tasks)."""
        labels = batch.y.unbind(1) if batch.y.ndim > 1 else (batch.y,)
        found = {}
        for task, y in zip(self.parts[part], labels, strict=True):
            logits = arranged(self.tasks[task](self.gates[task](features)), batch.x)
            found[task] = (Output(features, logits), batch._replace(y=y))
        return found

    def first(self, part: str, outputs: Sequence[Output], pair: Any) -> Iterator[Output]:
        """The ``outputs`` of the first and the last domain of ``pair``, with the logits of the first task of their data set."""
        layer = self.tasks[next(iter(self.parts[part]))]
        for output, domain in zip(outputs, (pair[0], pair[-1]), strict=True):
            yield Output(output.features, arranged(layer(output.features), domain.x))

    def losses(self, part: str, features: Tensor, batch: Sample) -> dict[str, Tensor]:
        """By task of a data set, the loss of a batch."""
        return {task: task_loss(output.logits, own.y) for task, (output, own) in self.answers(part, features, batch).items()}

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


def score(method: Any, stage: str, batch: Sample, loader: int) -> None:
    """Log the scores of each task of ``method``, and measure what its first one is validated by: each data set has a loader a domain."""
    for task, (output, sample) in method.head.answers(list(method.head.parts)[loader // 2], method(batch.x).features, batch).items():
        own = measured(method.measures, task)
        method.log_epoch(own.score(stage, loader % 2, output.logits, sample))
        if stage == "val" and own is measured(method.measures):
            own.validate(method, sample, output, loader)
        if stage == "test" and loader % 2 == 1:
            method.log_epoch(own.test_target(output.logits, sample.y))
