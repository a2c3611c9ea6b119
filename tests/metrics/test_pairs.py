"""Verification's metrics on scores that are counted by hand."""

from __future__ import annotations

from math import isnan

import pytest
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from tlda.batch import Sample
from tlda.errors import UserError
from tlda.metrics.pairs import (
    AtSourceThreshold,
    PairScore,
    Threshold,
    accuracy_at,
    best_threshold,
    equal_error_rate,
    fold_accuracies,
    pairs_of,
    tar_at_far,
    verification_auc,
)


def listed(own: list[float], others: list[float]) -> tuple[Tensor, Tensor]:
    """The scores of pairs of one person and of two, in an order that is not theirs."""
    scores = torch.tensor([*others, *own], dtype=torch.float64)
    return scores, torch.tensor([False] * len(others) + [True] * len(own))


def test_the_equal_error_rate_by_hand() -> None:
    # At 0.5 one of four of either kind is on the wrong side.
    assert equal_error_rate(*listed([0.9, 0.8, 0.6, 0.3], [0.5, 0.2, 0.1, 0.0])).item() == 0.25
    # From (far 0, rejected 1/3) to (1/2, 1/3): a straight line at 1/3 meets far = 1/3.
    assert equal_error_rate(*listed([0.9, 0.8, 0.2], [0.5, 0.1])).item() == pytest.approx(1 / 3)
    assert equal_error_rate(*listed([0.9, 0.8], [0.5, 0.1])).item() == 0.0
    assert equal_error_rate(*listed([0.1, 0.2], [0.5, 0.9])).item() == 1.0
    assert equal_error_rate(*listed([0.5, 0.5], [0.5, 0.5, 0.5])).item() == 0.5  # ties are accepted together


def test_true_accepts_at_a_rate_of_false_ones_by_hand() -> None:
    scores = listed([0.95, 0.9, 0.7, 0.6, 0.2], [0.8, 0.65, *[0.01 * n for n in range(18)]])  # 20 of two people
    assert tar_at_far(*scores, far=0.0).item() == 2 / 5
    assert tar_at_far(*scores, far=0.049).item() == 2 / 5
    assert tar_at_far(*scores, far=0.05).item() == 3 / 5
    assert tar_at_far(*scores, far=0.1).item() == 1.0
    assert tar_at_far(*listed([0.5, 0.4], [0.5]), far=0.01).item() == 0.0  # an equal score is accepted too


def test_the_area_is_that_of_another_implementation_with_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, same = torch.randint(0, 12, (200,), generator=generator) / 12, torch.rand(200, generator=generator) < 0.3
    assert verification_auc(scores, same).item() == pytest.approx(binary_auroc(scores, same.long()).item())


def test_a_threshold_lies_between_scores_and_kinds_of_pairs_count_alike() -> None:
    scores, same = listed([0.9, 0.7, 0.3], [0.5, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert best_threshold(scores, same).item() == pytest.approx(0.2)  # all of one person, and one of eight of two
    assert accuracy_at(scores, same, 0.2).item() == pytest.approx((1 + 7 / 8) / 2)
    assert accuracy_at(scores, same, 0.6).item() == pytest.approx((2 / 3 + 1) / 2)


def test_the_threshold_of_a_fold_is_of_pairs_without_its_people() -> None:
    # Folds 1 and 2 part at 0.5; in fold 0 scores are lower, and a threshold of its own would part them at 0.15.
    rows = [(0.2, True, 0, 0), (0.1, False, 0, 1), (0.9, True, 1, 1), (0.1, False, 1, 2), (0.9, True, 2, 2), (0.1, False, 2, 0)]
    scores, same = torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows])
    folds = torch.tensor([row[2:] for row in rows])
    assert fold_accuracies(scores, same, folds).tolist() == [0.5, 1.0, 1.0]


def people(n: int = 6, images: int = 4, spread: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(n * images) % n
    return torch.randn(n, 8, generator=generator)[y] + spread * torch.randn(n * images, 8, generator=generator), y


def test_pairs_are_all_pairs_once_and_each_fold_has_both_kinds() -> None:
    features, y = people()
    pairs = pairs_of(features, y, 3)
    assert len(pairs.scores) == 24 * 23 // 2
    assert int(pairs.same.sum()) == 6 * 6
    assert (pairs.folds[pairs.same][:, 0] == pairs.folds[pairs.same][:, 1]).all()
    for fold in range(3):
        assert 0 < pairs.same[pairs.folds[:, 0] == fold].double().mean() < 1
    assert fold_accuracies(*pairs).min() > 0.95
    again = pairs_of(features, y + 100, 3)  # names of people change nothing
    assert torch.equal(pairs.scores, again.scores)
    assert torch.equal(pairs.folds, again.folds)


def test_of_very_many_pairs_some_of_two_people_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlda.metrics.pairs.MOST", 50)
    pairs = pairs_of(*people(), 3)
    assert (int(pairs.same.sum()), int((~pairs.same).sum())) == (36, 50)


def test_metrics_count_batches_and_the_target_has_the_sources_threshold() -> None:
    features, y = people()
    own, elsewhere, source = PairScore(lambda pairs: fold_accuracies(*pairs).mean(), 3), AtSourceThreshold(3), Threshold(3)
    for part in torch.arange(24).split(7):
        batch = Sample(torch.empty(len(part), 1), y[part], part)
        own.update(features[part], batch)
        elsewhere.update(features[part], batch)
        source.update(features[part], batch)
    pairs = pairs_of(features, y, 3)
    assert own.compute().item() == pytest.approx(fold_accuracies(*pairs).mean().item())
    assert isnan(AtSourceThreshold(3).compute().item())
    elsewhere.source = [source]
    assert elsewhere.compute().item() == pytest.approx(accuracy_at(pairs.scores, pairs.same, best_threshold(*pairs[:2])).item())


def test_too_few_people_or_kinds_of_pairs_are_refused() -> None:
    with pytest.raises(UserError, match=r"6 people are measured in 10 folds of people: set --data.folds to 6 or fewer"):
        pairs_of(*people(), 10)
    with pytest.raises(UserError, match="no pair of one person among 1 pairs"):
        verification_auc(torch.tensor([0.5]), torch.tensor([False]))
