"""Open-set metrics against cases counted by hand, and the rules that reject."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.metrics import h_score
from tlda.metrics.rejection import Confidence, Entropy, ExtraClass, OneVsAll, margin_of, with_unknown
from tlda.metrics.unknown import ClosedAccuracy, HScore, KnownAccuracy, OpenAccuracy, OpenSetRates, UnknownAccuracy, UnknownAUROC

NONE = torch.empty(0)


def sample(labels: list[int]) -> Sample:
    return Sample(NONE, torch.tensor(labels), torch.arange(len(labels)))


def answers(numbers: list[int], classes: int) -> Tensor:
    """Logits (n, classes) whose greatest are at ``numbers``."""
    return 3.0 * torch.nn.functional.one_hot(torch.tensor(numbers), classes).double()


def test_h_score_is_the_harmonic_mean() -> None:
    assert float(h_score(0.8, 0.5)) == pytest.approx(0.6153846154, abs=1e-10)
    assert float(h_score(torch.tensor(1.0), 1.0)) == 1.0
    assert float(h_score(0.0, 0.0)) == float(h_score(0.9, 0.0)) == 0.0


# Known classes 0, 1 and 2, of which the target has no row of 2 (it is the source's own); 3 is unknown.
LABELS = [0, 0, 0, 0, 1, 1, 3, 3, 3, 3, 3]
#         right, right, rejected, wrong | right, as the class that the target has not | three of five rejected
ANSWERS = [0, 0, 3, 1, 1, 2, 3, 3, 3, 0, 2]


@pytest.mark.parametrize(
    ("metric", "value"),
    [(KnownAccuracy, 0.5), (UnknownAccuracy, 0.6), (HScore, 0.6 / 1.1), (OpenAccuracy, (0.5 + 0.5 + 0.6) / 3)],
)
def test_rates_are_of_exactly_the_known_classes_that_the_target_has(metric: type[OpenSetRates], value: float) -> None:
    counted = metric(3)
    for rows in (slice(0, 5), slice(5, 6), slice(6, None)):  # also batches of one kind alone
        counted.update(answers(ANSWERS[rows], 4), sample(LABELS[rows]))
    assert float(counted.compute()) == pytest.approx(value)


def test_closed_accuracy_looks_at_known_rows_and_known_classes_alone() -> None:
    counted = ClosedAccuracy(2)
    logits = torch.tensor([[1.0, 0.0, 9.0], [1.0, 2.0, 0.0], [3.0, 0.0, 0.0]])
    counted.update(logits, sample([0, 0, 2]))
    counted.update(logits, sample([2, 2, 2]))
    assert float(counted.compute()) == 0.5


def test_auroc_counts_pairs_and_needs_no_threshold() -> None:
    margins = torch.tensor([60.0, 41.0, -1.0, 50.0, -70.0], dtype=torch.double)  # where a sigmoid is 1
    logits = with_unknown(torch.zeros(5, 2).double(), margins)
    counted = UnknownAUROC()
    counted.update(logits[:2], sample([2, 2]))
    counted.update(logits[2:], sample([2, 0, 1]))
    # Of three unknown rows by two known ones: 60 is above both, 41 and -1 above one.
    assert float(counted.compute()) == pytest.approx(4 / 6)


def test_rules_reject_by_their_thresholds() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25], [0.9, 0.05, 0.05]], dtype=torch.double)
    entropy = -(p * p.log()).sum(1)
    torch.testing.assert_close(Entropy().margin(p.log()), entropy - math.log(3) / 2)
    assert (Entropy().margin(p.log()) > 0).tolist() == [True, False]
    torch.testing.assert_close(Entropy(threshold=1.2).margin(p.log()), entropy - 1.2)
    torch.testing.assert_close(Confidence(threshold=0.6).margin(p.log()), torch.tensor([0.1, -0.3], dtype=torch.double))
    assert ExtraClass().margin(torch.tensor([[1.0, 2.0, 2.5], [1.0, 2.0, 0.0]])).tolist() == [0.5, -2.0]
    # Of the predicted class, which is the second and then the first: no 1 and yes 3; no 2 and yes 0.
    ova = torch.tensor([[0.0, 1.0, 9.0, 1.0, 0.0, 3.0], [1.0, 0.0, 2.0, 0.0, 0.0, 9.0]])
    assert OneVsAll().margin(ova).tolist() == [-2.0, 2.0]


def test_the_last_logit_wins_where_the_margin_is_positive() -> None:
    logits, margin = torch.tensor([[2.0, 5.0], [2.0, 5.0]]), torch.tensor([0.5, -0.5])
    found = with_unknown(logits, margin)
    assert found.argmax(1).tolist() == [2, 1]
    torch.testing.assert_close(margin_of(found), margin)
