"""A few classes of which a few examples are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from tlda.batch import Inputs, Output
from tlda.errors import UserError
from tlda.metrics.intervals import Interval
from tlda.metrics.scores import Accuracy
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class FewShot(Task):
    """One of ``ways`` classes per row, which are others in each episode: a row has no class that lasts.

    Args:
        ways: the classes of an episode.
        base: the names of the classes that there are to train on.
        transductive: whether BatchNorm may look at all queries of an episode at once, so that an answer depends on the others.

    Raises:
        UserError: fewer than two ways.
    """

    ways: int
    base: Sequence[str] = ()
    transductive: bool = False

    headline: ClassVar[str] = "accuracy"

    def __post_init__(self) -> None:
        if self.ways < 2:
            raise UserError(f"--data.ways is {self.ways}: an episode has two classes or more")

    @property
    def label_names(self) -> Sequence[str]:
        return [f"way {number}" for number in range(self.ways)]

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy, in nats, of logits (r, c) to labels (r,), of an episode or of the base classes."""
        return cross_entropy(logits, y)

    def metrics(self, place: Place) -> dict[str, Metric]:
        # A batch is an episode, all of which have as many queries.
        return {"accuracy": Accuracy(self.ways, average="micro"), "interval": Interval()}

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        confidence, way = output.logits.float().softmax(1).max(1)
        return {"way": way.tolist(), "confidence": confidence.tolist()}
