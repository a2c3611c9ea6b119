"""Metrics where rows of the target may be unknown: of logits (r, k + 1), the unknown one last, and labels of which k is unknown."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc
from torchmetrics.utilities import dim_zero_cat

from tlda.batch import Sample
from tlda.metrics.rejection import margin_of
from tlda.metrics.scores import Accuracy


def h_score(known: float | Tensor, unknown: float | Tensor) -> Tensor:
    """The harmonic mean of the accuracy on ``known`` classes and of that on ``unknown`` rows (Fu et al., ECCV 2020); 0 where both are 0.

    Args:
        known: OS*, the mean over the known classes of the accuracy of each, in 0..1.
        unknown: UNK, the fraction of unknown rows that are rejected, in 0..1.

    Example:
        >>> round(h_score(0.8, 0.5).item(), 10)
        0.6153846154
    """
    first, second = (torch.as_tensor(value, dtype=torch.float64) for value in (known, unknown))
    return 2 * first * second / (first + second).clamp_min(torch.finfo(torch.float64).tiny)


class OpenSetRates(Metric):
    """The base of rates by class: how many rows of each of k known classes, and of the unknown ones, are answered right.

    Classes without a row, such as those that only the source has, do not count.
    """

    is_differentiable, higher_is_better, full_state_update = False, True, False
    counts: Tensor

    def __init__(self, known: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(2, known + 1, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Count the logits (r, k + 1) of a batch."""
        right = batch.y[logits.argmax(1) == batch.y]
        self.counts += torch.stack([labels.bincount(minlength=self.counts.shape[1]) for labels in (right, batch.y)])

    @property
    def known(self) -> Tensor:
        """OS*: the mean accuracy of the known classes that have rows."""
        return _mean_rate(self.counts[:, :-1])

    @property
    def unknown(self) -> Tensor:
        """UNK: the fraction of the unknown rows that are rejected."""
        return _mean_rate(self.counts[:, -1:])


def _mean_rate(counts: Tensor) -> Tensor:
    """The mean over classes that have rows of the rate of right ones, of counts (2, classes) of right ones and of all."""
    right, rows = counts.double().unbind()
    return (right / rows)[rows > 0].mean()


class KnownAccuracy(OpenSetRates):
    """OS*: the mean over the known classes that the target has of the accuracy of each; a rejected row is wrong."""

    def compute(self) -> Tensor:
        return self.known.float()


class UnknownAccuracy(OpenSetRates):
    """UNK: the fraction of the unknown rows that are rejected."""

    def compute(self) -> Tensor:
        return self.unknown.float()


class HScore(OpenSetRates):
    """:func:`h_score` of OS* and UNK."""

    def compute(self) -> Tensor:
        return h_score(self.known, self.unknown).float()


class OpenAccuracy(OpenSetRates):
    """OS: the mean accuracy over the known classes that have rows and the unknown one, which counts as one class more."""

    def compute(self) -> Tensor:
        return _mean_rate(self.counts).float()


class UnknownAUROC(Metric):
    """The area under the ROC curve of the margin by which rows are rejected, unknown rows against known ones: no threshold."""

    is_differentiable, higher_is_better, full_state_update = False, True, False
    scores: list[Tensor]
    unknown: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("unknown", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Keep the margins of the logits (n, k + 1) of a batch, and which rows are unknown."""
        margin = margin_of(logits).double()
        # Within 0..1, outside of which scores would be taken for logits; a sigmoid would make the farthest ones equal.
        self.scores.append(0.5 + 0.5 * margin / (1 + margin.abs()))
        self.unknown.append((batch.y == logits.shape[1] - 1).long())

    def compute(self) -> Tensor:
        """The area; NaN where all rows are known, or all unknown."""
        scores, unknown = dim_zero_cat(self.scores), dim_zero_cat(self.unknown)
        if 0 < int(unknown.sum()) < len(unknown):
            return binary_auroc(scores, unknown).float()
        return torch.tensor(torch.nan, device=scores.device)


class ClosedAccuracy(Accuracy):
    """The fraction of the rows of known classes that are right among these, without a threshold."""

    def __init__(self, known: int) -> None:
        super().__init__(known, average="micro")

    def update(self, logits: Tensor, batch: Sample) -> None:  # type: ignore[override]
        """Count the logits (r, k + 1) of a batch."""
        known = batch.y < logits.shape[1] - 1
        if bool(known.any()):
            super().update(logits[known, :-1], batch._replace(y=batch.y[known]))
