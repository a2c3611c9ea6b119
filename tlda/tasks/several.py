"""Several tasks on one network: their heads, and their gradients on what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torchmetrics import Metric

from tlda.batch import Inputs, Output, Sample
from tlda.errors import UserError
from tlda.tasks.base import Task
from tlda.tasks.heads import TaskHeads, first_label
from tlda.tasks.place import Place


@dataclass
class Several(Task):
    """Several tasks: by data set (which has no name where there is one), the task of each of its labels by name.

    Args:
        by_data: the tasks, by data set and label.

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

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        return self.first.answers(output, x)

    def arrange(self, logits: Tensor, x: Inputs) -> Tensor:
        return self.first.arrange(logits, x)

    def refuse(self, other: Task) -> None:
        own, others = ({name: list(part.outputs) for name, part in task.parts.items()} for task in (self, other))
        if not isinstance(other, Several) or own != others:
            raise UserError("the checkpoint was trained on other tasks or classes than those of the data: use the data it was trained on")

    def measured_at(self, place: Place, part: str) -> bool:
        return part in self.by_data.get(place.part, {})

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        if not isinstance(head, TaskHeads):
            raise UserError("the tasks of several data sets are learnt together by --model MultiTask")
        yield from ((name, *found) for name, found in head.answers(place.part, output.features, batch).items())


def require_distinct_tasks(names: Sequence[str]) -> None:
    """Raise :class:`UserError` where two tasks have one name."""
    if len(set(names)) < len(names):
        raise UserError(f"--data.tasks: two tasks have one name: {', '.join(names)}")
