"""One class per row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from tlda.batch import Inputs, Output, Sample
from tlda.errors import UserError, near
from tlda.metrics.scores import SCORES, Accuracy
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class Classification(Task):
    """One of ``classes`` per row; a label of -1 is missing.

    Args:
        classes: the names of the classes, at least two.
        scores: more metrics than accuracy, of :data:`tlda.metrics.scores.SCORES`; ``f1`` is of whole entities, whose classes are BIO
            tags, and ``few_shot_risk`` of five rows of each class.

    Raises:
        UserError: fewer than two classes; an unknown score.
    """

    classes: Sequence[str]
    scores: Sequence[str] = ()

    headline: ClassVar[str] = "accuracy"

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise UserError(
                f"there is only one class, {list(self.classes)}: a classifier needs two; look at --data.classes and the folders"
            )
        for name in self.scores:
            if name not in SCORES:
                raise UserError(f"there is no score '{name}' of a classification{near(name, SCORES)}")

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy, in nats, of logits (r, c) to labels (r,)."""
        return cross_entropy(logits, y, ignore_index=-1, reduction="sum") / self.known(y).sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(logits, y, ignore_index=-1, reduction="none")

    def metrics(self, place: Place) -> dict[str, Metric]:
        return {"accuracy": Accuracy(len(self.classes), average="micro"), **{name: SCORES[name](self.classes) for name in self.scores}}

    def scored(self, logits: Tensor) -> Tensor:
        """Logits (r, answers) whose greatest is the answer: a method's own one of an unknown class is none of a closed set."""
        return logits[:, : len(self.outputs)]

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        yield "", output._replace(logits=self.scored(output.logits)), batch

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        probabilities = output.logits.float().softmax(1)
        confidence, label = probabilities.max(1)
        each = {f"p_{name}": column for name, column in zip(self.classes, probabilities.T.tolist(), strict=False)}
        return {"class": [self.classes[c] for c in label.tolist()], "confidence": confidence.tolist(), **each}


def scored(task: Task, logits: Tensor) -> Tensor:
    """The logits (r, answers) of a task's answers: :meth:`Classification.scored`, or as they are."""
    return task.scored(logits) if isinstance(task, Classification) else logits


@dataclass
class Words(Classification):
    """One of ``classes`` per word of a text."""

    one_row: ClassVar[bool] = False
