"""Density ratios against implementations that share nothing with them, and what their weights must satisfy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, spearmanr
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from tlda.metrics.density_ratio import RATIOS, density_ratio, kernels, kliep_weights, ulsif_weights


def domains(n: int = 60, m: int = 50, d: int = 6, seed: int = 0, shift: float = 0.5) -> Any:
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.normal(1, 2, (n, d))), torch.tensor(rng.normal(1 + shift, 2, (m, d)))


@pytest.mark.parametrize(("n", "m", "d"), [(60, 50, 6), (30, 45, 2), (12, 9, 40)])
def test_the_density_ratio_is_that_of_scikit_learns_classifier(n: int, m: int, d: int) -> None:
    source, target = (rows.numpy() for rows in domains(n, m, d))
    rows = StandardScaler().fit_transform(np.concatenate((source, target)))
    classifier = LogisticRegression(C=10 / d, tol=1e-8, max_iter=1000).fit(rows, np.arange(n + m) >= n)
    p = classifier.predict_proba(rows[:n])
    np.testing.assert_allclose(density_ratio(*domains(n, m, d)), p[:, 1] / p[:, 0] * n / m, rtol=1e-3)


def test_the_density_ratio_of_two_gaussians_is_near_the_true_one() -> None:
    rng = np.random.default_rng(0)
    means, covariance = ([0.0, 0.0], [1.0, 0.5]), [[1.0, 0.3], [0.3, 0.5]]
    source, target = (torch.tensor(rng.multivariate_normal(mean, covariance, 2_000)) for mean in means)
    log_source, log_target = (multivariate_normal(mean, covariance).logpdf(source.numpy()) for mean in means)
    error = density_ratio(source, target).log().numpy() - (log_target - log_source)
    assert np.sqrt(np.mean(error**2)) < 0.1 < 0.5 * np.std(log_target - log_source)


def test_in_inference_mode_the_density_ratio_is_the_same() -> None:
    expected = density_ratio(*domains())
    with torch.inference_mode():
        assert density_ratio(*(rows.clone() for rows in domains())).equal(expected)


def test_ulsif_is_its_closed_form() -> None:
    source, target = domains(30, 40, 2)
    near, far = (kernels(rows, target[:7], 1.5) for rows in (source, target))
    a, b = (np.exp(-((rows.numpy()[:, None] - target.numpy()[None, :7]) ** 2).sum(2) / (2 * 1.5**2)) for rows in (source, target))
    np.testing.assert_allclose(near, a)
    expected = np.maximum(0, np.linalg.inv(a.T @ a / 30 + 0.1 * np.eye(7)) @ b.mean(0))
    np.testing.assert_allclose(ulsif_weights(near, far, 0.1), expected)


def test_kliep_is_feasible_and_no_feasible_weights_are_likelier() -> None:
    source, target = domains(30, 40, 2)
    near, far = (kernels(rows, target[:7], 1.5) for rows in (source, target))
    weights = kliep_weights(near, far, 5_000)
    assert bool((weights >= 0).all())
    assert (near @ weights).mean().item() == pytest.approx(1.0)
    best = (far @ weights).log().mean()
    drawn = torch.rand(200, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for other in 0.9 * weights + 0.1 * drawn / (drawn @ near.mean(0))[:, None]:
        assert (far @ other).log().mean() < best


@pytest.mark.parametrize("ratio", RATIOS.values(), ids=list(RATIOS))
def test_every_ratio_rises_towards_the_target(ratio: Callable[[Tensor, Tensor], Tensor]) -> None:
    source, target = domains(300, 300, 1, shift=1.0)
    found = ratio(source, target)
    true = torch.tensor(multivariate_normal(2, 4).pdf(source.numpy()) / multivariate_normal(1, 4).pdf(source.numpy()))
    assert spearmanr(found, true).statistic > 0.85
    assert found.mean().item() == pytest.approx(1.0, abs=0.25)
    constant = torch.cat((source, torch.ones(300, 1)), 1), torch.cat((target, torch.ones(300, 1)), 1)
    torch.testing.assert_close(ratio(*constant), found, rtol=0.2, atol=0.05)
