"""Whether two images are of one person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from tlda.batch import Inputs, Output, Sample
from tlda.errors import UserError
from tlda.metrics.pairs import (
    AtSourceThreshold,
    PairFault,
    PairScore,
    Threshold,
    equal_error_rate,
    fold_accuracies,
    tar_at_far,
    verification_auc,
)
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class Verification(Task):
    """One person per row: the head tells the ``people`` of training apart, and the metrics compare the features of other people.

    People of the source and of the target are others, so that a row has no class that both domains have: what looks at logits as
    classes is refused, what compares features is not. The last layer may have a margin (``arcface``, ``cosface`` of
    :class:`tlda.network.Head`).

    Args:
        people: the names of the people of the source who are trained on; the label of anybody else is a greater number.
        folds: the folds of people of the measured accuracy; LFW has 10.

    Raises:
        UserError: fewer than two people, or three folds.
    """

    people: Sequence[str]
    folds: int = 10

    headline: ClassVar[str] = "accuracy"

    def __post_init__(self) -> None:
        if len(self.people) < 2:
            raise UserError(f"there are only {list(self.people)} to train on: verification needs two people or more; look at --data.people")
        if self.folds < 3:
            raise UserError(f"--data.folds is {self.folds}: the other folds, which choose a threshold, need two people, so give 3 or more")

    @property
    def label_names(self) -> Sequence[str]:
        return self.people

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy, in nats, of logits (r, people) to labels (r,), of the people of training."""
        return self.risk(logits, y).sum() / (self._trained(y)).sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(logits, torch.where(self._trained(y), y, -1), ignore_index=-1, reduction="none")

    def _trained(self, y: Tensor) -> Tensor:
        return (y >= 0) & (y < len(self.people))

    def metrics(self, place: Place) -> dict[str, Metric]:
        """The metrics of the features' cosines over all pairs of rows, see :mod:`tlda.metrics.pairs`."""
        scores = {
            "accuracy": PairScore(lambda pairs: fold_accuracies(*pairs).mean(), self.folds),
            "accuracy_std": PairFault(lambda pairs: fold_accuracies(*pairs).std(), self.folds),
            "auc": PairScore(lambda pairs: verification_auc(*pairs[:2]), self.folds),
            "eer": PairFault(lambda pairs: equal_error_rate(*pairs[:2]), self.folds),
            "tar_far_1": PairScore(lambda pairs: tar_at_far(*pairs[:2], far=0.01), self.folds),
            "tar_far_01": PairScore(lambda pairs: tar_at_far(*pairs[:2], far=0.001), self.folds),
            "threshold": Threshold(self.folds),
        }
        return {**scores, **({"accuracy_source_threshold": AtSourceThreshold(self.folds)} if place.role == "target" else {})}

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        yield "", output._replace(logits=output.features), batch

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        """The person of training who is most likely, and the length of the features, whose cosines say who is the same person."""
        nearest = [self.people[number] for number in output.logits.argmax(1).tolist()]
        return {"nearest": nearest, "length": torch.linalg.vector_norm(output.features.float(), dim=1).tolist()}
