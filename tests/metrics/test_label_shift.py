"""Class weights and shares against what is known of a made shift, closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from tlda.metrics.label_shift import class_weights, label_shift, maximum_likelihood_shares, regularized_class_weights

CONFUSION = torch.tensor([[0.7, 0.2, 0.1], [0.2, 0.7, 0.2], [0.1, 0.1, 0.7]], dtype=torch.float64)
"""How often each class (a column) is predicted as which (a row)."""
SOURCE, TARGET = (torch.tensor(shares, dtype=torch.float64) for shares in ([0.5, 0.3, 0.2], [0.1, 0.3, 0.6]))
JOINT, PREDICTED = CONFUSION * SOURCE, CONFUSION @ TARGET


def test_the_weights_of_a_known_shift_are_found() -> None:
    torch.testing.assert_close(class_weights(JOINT, PREDICTED), TARGET / SOURCE)
    torch.testing.assert_close(regularized_class_weights(JOINT, PREDICTED, 10**12), TARGET / SOURCE, rtol=1e-4, atol=1e-4)


def test_no_weight_is_below_zero_and_a_class_that_the_source_lacks_weighs_one() -> None:
    assert class_weights(torch.eye(2).double() / 2, torch.tensor([1.25, -0.25]).double()).tolist() == [2.5, 0.0]
    lacking = torch.tensor([[0.5, 0.0, 0.1], [0.1, 0.0, 0.3], [0.0, 0.0, 0.0]]).double()
    assert class_weights(lacking, lacking.sum(1)).tolist() == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("strength", [0.01, 0.05, 1.0])
def test_regularised_weights_are_those_of_another_solver(strength: float) -> None:
    rows, c, b = 200, JOINT.numpy(), (PREDICTED - JOINT.sum(1)).numpy()
    rho = 3 * strength * (2 * math.log(2 * 3 / 0.05) / (3 * rows) + math.sqrt(2 * math.log(2 * 3 / 0.05) / rows))

    def cost(theta: np.ndarray) -> float:
        return float(np.linalg.norm(c @ theta - b) + rho * np.linalg.norm(theta))

    best = min(
        cost(minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 10**4}).x)
        for start in (np.zeros(3), (TARGET / SOURCE).numpy() - 1)
    )
    found = regularized_class_weights(JOINT, PREDICTED, rows, strength).numpy() - 1
    assert cost(found) == pytest.approx(best, abs=1e-6)
    assert (found >= -1).all()


def test_a_penalty_below_the_least_singular_value_changes_nothing() -> None:
    least = float(torch.linalg.svdvals(JOINT)[-1])
    log = 2 * math.log(2 * 3 / 0.05) / 200
    bound = 3 * (log / 3 + math.sqrt(log))
    below, above = (regularized_class_weights(JOINT, PREDICTED, 200, factor * least / bound) for factor in (0.5, 5.0))
    torch.testing.assert_close(below, class_weights(JOINT, PREDICTED), atol=1e-4, rtol=0)
    assert float((above - class_weights(JOINT, PREDICTED)).abs().max()) > 0.01


def test_weak_evidence_leaves_all_weights_at_one() -> None:
    torch.testing.assert_close(regularized_class_weights(JOINT, PREDICTED, 2, 1.0), torch.ones(3).double(), atol=1e-4, rtol=0)


def test_the_likeliest_shares_are_a_fixed_point_and_no_others_are_likelier() -> None:
    p = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p /= p.sum(1, keepdim=True)
    found = maximum_likelihood_shares(p, SOURCE)
    weighted = p * found / SOURCE
    torch.testing.assert_close((weighted / weighted.sum(1, keepdim=True)).mean(0), found, atol=1e-7, rtol=0)

    def likelihood(shares: torch.Tensor) -> float:
        return float((p * shares / SOURCE).sum(1).log().mean())

    for other in torch.rand(100, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64):
        assert likelihood(0.9 * found + 0.1 * other / other.sum()) <= likelihood(found) + 1e-9


def test_the_likeliest_shares_of_exact_predictions_are_the_true_ones() -> None:
    labels = torch.multinomial(TARGET, 20_000, replacement=True, generator=torch.Generator().manual_seed(0))
    x = labels + 0.8 * torch.randn(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    p = SOURCE * torch.exp(-((x[:, None] - torch.arange(3)) ** 2) / (2 * 0.8**2))
    found = maximum_likelihood_shares(p / p.sum(1, keepdim=True), SOURCE)
    torch.testing.assert_close(found, TARGET, atol=0.02, rtol=0)
    torch.testing.assert_close(maximum_likelihood_shares(p, SOURCE, steps=0), SOURCE)


def test_the_estimate_of_the_report_is_the_same_equation() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    predicted, target = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 1])
    shares = label_shift(labels, predicted, target, 2).shares
    joint = torch.tensor([[3.0, 0.0], [1.0, 2.0]]).double() / 6
    torch.testing.assert_close(shares, class_weights(joint, torch.tensor([0.25, 0.75]).double()) * torch.tensor([4, 2]).double() / 6)
