"""Metrics against labels, which are updated with the logits of a batch and the batch itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score, MultilabelAveragePrecision
from torchmetrics.functional.classification import binary_sensitivity_at_specificity
from torchmetrics.utilities import dim_zero_cat

from tlda.batch import Sample
from tlda.inputs import places
from tlda.metrics.calibration import calibration_error

SPECIFICITY = 0.9
"""The share of the first of two classes that is to be right where a sensitivity is measured."""


class Accuracy(MulticlassAccuracy):
    """The share of rows that are right."""

    def update(self, logits: Tensor, batch: Sample) -> None:  # type: ignore[override]
        """Count the logits (n, classes) of a batch."""
        super().update(logits, batch.y)


class MacroF1(MulticlassF1Score):
    """The mean over classes of the F1 of each, so that rare ones count as much; of classes that are in labels or predictions."""

    def update(self, logits: Tensor, batch: Sample) -> None:  # type: ignore[override]
        """Count the logits (n, classes) of a batch."""
        super().update(logits, batch.y)


class Risk(Metric):
    """The mean cross-entropy, in nats; with ``shots`` that of as many rows of each class, the first by their number.

    Of the target it is the risk by which AdaTime selects as an oracle, and with 5 shots its few-shot risk (Ragab et al., TKDD 2023).

    Args:
        shots: the rows of each class that count; by default all.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    risks: list[Tensor]
    labels: list[Tensor]
    rows: list[Tensor]

    def __init__(self, shots: int | None = None) -> None:
        super().__init__()
        self.shots = shots
        for state in ("risks", "labels", "rows"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Keep the cross-entropy of each row of logits (n, classes)."""
        self.risks.append(cross_entropy(logits.detach().float(), batch.y, reduction="none"))
        self.labels.append(batch.y)
        self.rows.append(batch.row)

    def compute(self) -> Tensor:
        """The mean over the rows that count."""
        risks, labels, rows = (dim_zero_cat(state) for state in (self.risks, self.labels, self.rows))
        if self.shots is None:
            return risks.mean()
        order = rows.argsort()
        return torch.cat([risks[order[labels[order] == label][: self.shots]] for label in sorted(set(labels.tolist()))]).mean()


class AUC(MulticlassAUROC):
    """The area under the ROC curve of the second of two classes; of more, the mean over classes of each against the others."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__(classes)

    def update(self, logits: Tensor, batch: Sample) -> None:  # type: ignore[override]
        """Count the logits (n, classes) of a batch."""
        super().update(logits.double().softmax(1), batch.y)


def brier(p: Tensor, labels: Tensor) -> Tensor:
    """The mean squared distance of a row's probabilities (n, c) from 1 at its class and 0 elsewhere, 0 to 2 (Brier, 1950)."""
    return (p - one_hot(labels, p.shape[1])).square().sum(1).mean()


def balanced_accuracy(p: Tensor, labels: Tensor) -> Tensor:
    """The mean over classes that have rows of the share of their rows that are right, so that base rates do not matter."""
    right = (p.argmax(1) == labels).double()
    return torch.stack([right[labels == c].mean() for c in set(labels.tolist())]).mean()


def calibration(p: Tensor, labels: Tensor) -> Tensor:
    """The expected calibration error over 15 bins of equal width (Naeini et al., AAAI 2015)."""
    return torch.tensor(calibration_error(p.log(), labels))


def sensitivity(p: Tensor, labels: Tensor) -> Tensor:
    """The share of the second of two classes that is found by the threshold at which 90 % of the first are right."""
    found: Tensor = binary_sensitivity_at_specificity(p[:, 1], labels, SPECIFICITY)[0]
    return found


class Score(Metric):
    """A number of all rows at once, of which higher is better.

    Args:
        score: of probabilities (n, c) and labels (n,).
    """

    is_differentiable, higher_is_better, full_state_update = False, True, False
    probabilities: list[Tensor]
    labels: list[Tensor]

    def __init__(self, score: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.score = score
        self.add_state("probabilities", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Keep the predictions of the logits (n, c) of a batch."""
        self.probabilities.append(logits.double().softmax(1))
        self.labels.append(batch.y)

    def compute(self) -> Tensor:
        """The number, over all batches."""
        return self.score(dim_zero_cat(self.probabilities), dim_zero_cat(self.labels))


class Fault(Score):
    """A number of all rows at once, of which lower is better."""

    higher_is_better = False


class MeanAveragePrecision(MultilabelAveragePrecision):
    """The mean over labels of the average precision of each; rows whose label is unknown (-1) do not count in it."""

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average="macro", ignore_index=-1)

    def update(self, logits: Tensor, batch: Sample) -> None:  # type: ignore[override]
        """Count the logits (n, labels) of a batch."""
        super().update(logits.float().sigmoid(), batch.y.long())


Span = tuple[str, int, int]


def spans(tags: Sequence[str]) -> set[Span]:
    """The entities of BIO tags: type, first word, and the word after its last.

    As CoNLL-2003's scorer reads them, an I-TYPE that follows another type or O begins an entity.
    """
    found, kind, start = set(), "", 0
    for place, tag in enumerate([*tags, "O"]):
        goes_on = tag.startswith("I-") and tag[2:] == kind
        if kind and not goes_on:
            found.add((kind, start, place))
        if not goes_on:
            kind, start = (tag[2:] if tag != "O" else ""), place
    return found


class SpanF1(Metric):
    """The F1 of whole entities: right is one whose type, first and last word are (Tjong Kim Sang and De Meulder, CoNLL 2003).

    Args:
        tags: the BIO tags by class.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(self, tags: Sequence[str]) -> None:
        super().__init__()
        self.tags = list(tags)
        self.add_state("counts", torch.zeros(3, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the logits (m, tags) of a batch of sentences with m words."""
        sizes = places(batch.x).sum(1).tolist()
        for predicted, wanted in zip(torch.split(logits.argmax(1), sizes), torch.split(batch.y, sizes), strict=True):
            found, gold = (spans([self.tags[c] for c in row.tolist()]) for row in (predicted, wanted))
            self.counts += torch.tensor([len(found & gold), len(found), len(gold)], device=self.counts.device)

    def compute(self) -> Tensor:
        """The harmonic mean of precision and recall over all entities, 0 to 1; 0 where there is none."""
        right, found, gold = self.counts
        f1: Tensor = 2.0 * right / (found + gold).clamp_min(1)
        return f1


SCORES: Mapping[str, Callable[[Sequence[str]], Metric]] = {
    "macro_f1": lambda classes: MacroF1(len(classes)),
    "f1": SpanF1,
    "auc": lambda classes: AUC(len(classes)),
    "risk": lambda _: Risk(),
    "few_shot_risk": lambda _: Risk(shots=5),
    "balanced_accuracy": lambda _: Score(balanced_accuracy),
    "sensitivity": lambda _: Score(sensitivity),
    "ece": lambda _: Fault(calibration),
    "brier": lambda _: Fault(brier),
}
"""The metrics that a classification may have beside its accuracy, by name, of the names of the classes."""
