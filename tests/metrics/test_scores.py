"""Scores of two classes against scikit-learn, and against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, roc_curve

from tlda.batch import Sample
from tlda.metrics.calibration import calibration_error
from tlda.metrics.scores import Fault, Score, balanced_accuracy, brier, calibration, sensitivity

GENERATOR = torch.Generator().manual_seed(0)
LABELS = (torch.rand(200, generator=GENERATOR) < 0.2).long()
LOGITS = torch.randn(200, 2, generator=GENERATOR) + 1.5 * torch.stack((-LABELS, LABELS), 1)
P = LOGITS.double().softmax(1)[:, 1].numpy()


def value(metric: Score, logits: torch.Tensor = LOGITS, labels: torch.Tensor = LABELS) -> float:
    for rows in torch.arange(len(labels)).split(64):
        metric.update(logits[rows], Sample(logits[rows], labels[rows], rows))
    return float(metric.compute())


def test_scores_are_those_of_scikit_learn() -> None:
    assert value(Score(balanced_accuracy)) == pytest.approx(balanced_accuracy_score(LABELS, LOGITS.argmax(1)))
    assert value(Fault(brier)) == pytest.approx(2 * brier_score_loss(LABELS, P), rel=1e-5)
    assert value(Fault(calibration)) == pytest.approx(calibration_error(LOGITS, LABELS), abs=1e-5)
    false, true, _ = roc_curve(LABELS, P, drop_intermediate=False)
    assert value(Score(sensitivity)) == pytest.approx(np.max(true[1 - false >= 0.9]))


def test_a_sensitivity_by_hand() -> None:
    # Nine of ten healthy rows lie below 0.5, and one at 0.9; of four ill ones two lie above 0.5.
    p = torch.tensor([0.1] * 9 + [0.9] + [0.2, 0.3, 0.6, 0.95])
    logits = torch.stack((torch.zeros(14), (p / (1 - p)).log()), 1)
    assert value(Score(sensitivity), logits, torch.tensor([0] * 10 + [1] * 4)) == pytest.approx(1.0)
    worse = torch.tensor([0.1] * 5 + [0.9] * 5 + [0.2, 0.3, 0.6, 0.95])
    logits = torch.stack((torch.zeros(14), (worse / (1 - worse)).log()), 1)
    assert value(Score(sensitivity), logits, torch.tensor([0] * 10 + [1] * 4)) == pytest.approx(0.25)
