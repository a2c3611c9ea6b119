"""Label-free measures against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from tlda.metrics import InformationMaximization


def test_information_maximization_over_batches_is_scipys() -> None:
    logits = 3 * np.random.default_rng(0).normal(size=(50, 4))
    p = softmax(logits, axis=1)
    metric = InformationMaximization(4)
    for rows in np.array_split(logits, 3):
        metric.update(torch.tensor(rows))
    assert metric.compute().item() == pytest.approx(entropy(p.mean(0)) - entropy(p, axis=1).mean())


def test_information_maximization_has_its_bounds() -> None:
    certain = 1e4 * torch.eye(4)
    for logits, value in ((certain, np.log(4)), (certain[:1].repeat(4, 1), 0.0), (torch.zeros(4, 4), 0.0)):
        metric = InformationMaximization(4)
        metric.update(logits)
        assert metric.compute().item() == pytest.approx(value, abs=1e-9)
