"""Measures of features by themselves, against closed values."""

from __future__ import annotations

import pytest
import torch

from tlda.metrics.representations import feature_std, knn_accuracy, rank_me


def test_the_rank_is_that_of_equal_directions() -> None:
    assert rank_me(torch.eye(8)[:5].repeat(3, 1)).item() == pytest.approx(5, rel=1e-3)
    assert rank_me(torch.ones(9, 4)).item() == pytest.approx(1, rel=1e-3)


def test_the_spread_is_one_of_independent_features_and_zero_of_constant_ones() -> None:
    torch.manual_seed(0)
    assert feature_std(torch.randn(4000, 32)).item() == pytest.approx(1, abs=0.02)
    assert feature_std(torch.full((9, 4), 3.0)).item() == pytest.approx(0, abs=1e-6)


def test_neighbours_vote_by_their_cosine() -> None:
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    features, labels = torch.tensor([[3.0, 0.1], [0.1, 5.0], [1.0, 0.97]]), torch.tensor([0, 1, 1])
    assert knn_accuracy(bank, torch.tensor([0, 1, 1]), features, labels, neighbours=1).item() == pytest.approx(2 / 3)
    # Two at a cosine of 0.696 outvote one at 0.718.
    assert knn_accuracy(bank, torch.tensor([0, 1, 1]), features, labels).item() == pytest.approx(1.0)
