"""Verification: whether two images are of one person, by the similarity of their features."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from tlda.batch import Sample
from tlda.errors import UserError

DEALT = 20_26
"""The seed by which people are dealt into folds: the same for all methods and all seeds of a run, so that differences are paired."""

MOST = 2_000_000
"""The most pairs of different people that are compared; of more, so many are drawn."""


class Pairs(NamedTuple):
    """Pairs of images: the similarity of each (p,), whether it is of the ``same`` person (p,), and the folds (p, 2) of its two people."""

    scores: Tensor
    same: Tensor
    folds: Tensor


class Curve(NamedTuple):
    """A ROC curve from nothing accepted to all: per ``threshold`` (t,), the falling scores, the accepted fraction of pairs of one person
    (``tar``) and of two (``far``). A pair is accepted whose score is the threshold or more."""

    threshold: Tensor
    tar: Tensor
    far: Tensor


def roc(scores: Tensor, same: Tensor) -> Curve:
    """The ROC curve of ``scores`` (p,) of pairs, which are of the ``same`` person (p,) or of two.

    Raises:
        UserError: there is no pair of one kind.
    """
    if not bool(same.any()) or bool(same.all()):
        missing = "of one person" if not bool(same.any()) else "of two people"
        raise UserError(f"there is no pair {missing} among {len(same)} pairs: verification needs people with two images, and two people")
    order = scores.argsort(descending=True, stable=True)
    scores, same = scores[order].double(), same[order].bool()
    last = torch.cat([scores[1:] != scores[:-1], scores.new_ones(1, dtype=torch.bool)])  # equal scores are accepted together
    tar, far = (flags.double().cumsum(0)[last] / flags.sum() for flags in (same, ~same))
    start = scores.new_zeros(1)
    return Curve(torch.cat([start + torch.inf, scores[last]]), torch.cat([start, tar]), torch.cat([start, far]))


def verification_auc(scores: Tensor, same: Tensor) -> Tensor:
    """The area under :func:`roc`: how often a pair of one person has the greater score than one of two, ties counted half.

    Example:
        >>> verification_auc(torch.tensor([0.9, 0.4, 0.5, 0.1]), torch.tensor([True, True, False, False])).item()
        0.75
    """
    curve = roc(scores, same)
    return torch.trapezoid(curve.tar, curve.far)


def equal_error_rate(scores: Tensor, same: Tensor) -> Tensor:
    """The rate at which the accepted fraction of pairs of two people equals the rejected one of pairs of one, on straight lines of the ROC.

    Args:
        scores: the similarity of each pair, (p,).
        same: whether it is of one person, (p,).

    Example:
        >>> equal_error_rate(torch.tensor([0.9, 0.4, 0.5, 0.1]), torch.tensor([True, True, False, False])).item()
        0.5
    """
    curve = roc(scores, same)
    apart = curve.far - (1 - curve.tar)  # rises from -1 to 1
    after = int((apart >= 0).nonzero()[0])
    before = after - 1
    share = apart[before] / (apart[before] - apart[after])
    return curve.far[before] + share * (curve.far[after] - curve.far[before])


def tar_at_far(scores: Tensor, same: Tensor, far: float) -> Tensor:
    """The greatest fraction of pairs of one person accepted by a threshold that accepts at most ``far`` of the pairs of two.

    With fewer pairs of two people than 1 / ``far`` it is that of no false one accepted.

    Args:
        scores: the similarity of each pair, (p,).
        same: whether it is of one person, (p,).
        far: the fraction of false accepts allowed, 0 to 1.

    Example:
        >>> tar_at_far(torch.tensor([0.9, 0.4, 0.5, 0.1]), torch.tensor([True, True, False, False]), far=0.01).item()
        0.5
    """
    curve = roc(scores, same)
    return curve.tar[curve.far <= far].max()


def best_threshold(scores: Tensor, same: Tensor) -> Tensor:
    """The threshold of the greatest :func:`accuracy_at`, in the middle of the gap between two scores; the highest of several.

    Example:
        >>> best_threshold(torch.tensor([0.9, 0.5, 0.25, 0.0]), torch.tensor([True, True, False, False])).item()
        0.375
    """
    curve = roc(scores, same)
    place = int((curve.tar - curve.far).argmax())
    return curve.threshold[place : place + 2].mean() if place else curve.threshold[0]


def accuracy_at(scores: Tensor, same: Tensor, threshold: Tensor | float) -> Tensor:
    """The mean of the fractions of pairs of one person accepted and of pairs of two rejected by ``threshold``; NaN without either kind.

    It is the accuracy on as many pairs of each kind, as LFW's lists have them.

    Example:
        >>> accuracy_at(torch.tensor([0.9, 0.4, 0.5, 0.1]), torch.tensor([True, True, False, False]), 0.3).item()
        0.75
    """
    accepted = scores >= torch.as_tensor(threshold, dtype=scores.dtype)
    return (accepted[same].double().mean() + (~accepted)[~same].double().mean()) / 2


def fold_accuracies(scores: Tensor, same: Tensor, folds: Tensor) -> Tensor:
    """The accuracy of each fold of people by the best threshold of pairs in which nobody of the fold is: LFW's protocol.

    A pair is measured in the fold of its first person, so that each is measured once.

    Args:
        scores: the similarity of each pair, (p,).
        same: whether it is of one person, (p,).
        folds: the folds of its two people, from 0, (p, 2).

    Returns:
        :func:`accuracy_at` of each fold, (folds,); LFW reports the mean and the standard deviation of ten.
    """
    found = []
    for fold in range(int(folds.max()) + 1):
        measured, others = folds[:, 0] == fold, (folds != fold).all(1)
        threshold = best_threshold(scores[others], same[others])
        found.append(accuracy_at(scores[measured], same[measured], threshold))
    return torch.stack(found)


def pairs_of(features: Tensor, people: Tensor, folds: int) -> Pairs:
    """All pairs of images, with the cosine of their features; of more than :data:`MOST` pairs of two people, so many drawn.

    Args:
        features: of each image, (n, d).
        people: the person of each, (n,).
        folds: the number of folds that people are dealt into.

    Raises:
        UserError: fewer people than folds.
    """
    names, number = torch.unique(people, return_inverse=True)
    if len(names) < folds:
        raise UserError(f"{len(names)} people are measured in {folds} folds of people: set --data.folds to {len(names)} or fewer")
    generator = torch.Generator().manual_seed(DEALT)
    fold = torch.randperm(len(names), generator=generator).to(people.device) % folds
    first, second = torch.triu_indices(len(people), len(people), 1, device=people.device)
    # Each person is the first of half of its pairs.
    first, second = torch.where((first + second) % 2 == 0, first, second), torch.where((first + second) % 2 == 0, second, first)
    same = number[first] == number[second]
    if int((~same).sum()) > MOST:
        others = (~same).nonzero().flatten()
        drawn = others[torch.randperm(len(others), generator=generator).to(others.device)[:MOST]]
        kept = torch.cat([same.nonzero().flatten(), drawn])
        first, second, same = first[kept], second[kept], same[kept]
    unit = normalize(features.double(), dim=1)
    scores = torch.cat([(unit[a] * unit[b]).sum(1) for a, b in zip(torch.split(first, 65536), torch.split(second, 65536), strict=True)])
    return Pairs(scores, same, fold[number][torch.stack([first, second], 1)])


class PairScore(Metric):
    """A number of all pairs of rows, of which higher is better.

    Args:
        score: of the pairs.
        folds: the number of folds that people are dealt into.
    """

    is_differentiable, full_state_update = False, False
    higher_is_better: bool | None = True
    features: list[Tensor]
    people: list[Tensor]

    def __init__(self, score: Callable[[Pairs], Tensor], folds: int) -> None:
        super().__init__()
        self.score, self.folds = score, folds
        self.add_state("features", [], dist_reduce_fx="cat")
        self.add_state("people", [], dist_reduce_fx="cat")

    def update(self, features: Tensor, batch: Sample) -> None:
        """Keep the features (n, d) of a batch."""
        self.features.append(features.detach().float())
        self.people.append(batch.y)

    @property
    def pairs(self) -> Pairs:
        """The pairs of all rows."""
        return pairs_of(dim_zero_cat(self.features), dim_zero_cat(self.people), self.folds)

    def compute(self) -> Tensor:
        """The number, over all batches."""
        return self.score(self.pairs).float()


class PairFault(PairScore):
    """A number of all pairs of rows, of which lower is better."""

    higher_is_better = False


class Threshold(PairScore):
    """The best threshold of all pairs, a cosine: neither high nor low is better."""

    higher_is_better = None

    def __init__(self, folds: int) -> None:
        super().__init__(lambda pairs: best_threshold(pairs.scores, pairs.same), folds)


class AtSourceThreshold(PairScore):
    """The accuracy of the target's pairs by the best threshold of the source's: what a threshold that was set elsewhere costs."""

    def __init__(self, folds: int) -> None:
        super().__init__(lambda pairs: torch.tensor(torch.nan), folds)
        self.source: list[Metric] = []

    def compute(self) -> Tensor:
        """The accuracy, 0 to 1; NaN where no row of the source was counted."""
        if not self.source or not self.source[0].update_called:
            return torch.tensor(torch.nan)
        scores, same, _ = self.pairs
        return accuracy_at(scores, same, self.source[0].compute()).float()
