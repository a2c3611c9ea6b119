"""Each score against an independent implementation: brute force, counting, or the definition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from torch import Tensor

from tlda.errors import UserError
from tlda.metrics.ranking import h_score, leep, logme, nce, transrate

FEATURE_SCORES: list[Callable[..., float]] = [logme, h_score, transrate]
SOURCE_SCORES: list[Callable[..., float]] = [leep, nce]


def blobs(n: int = 60, d: int = 5, classes: int = 3, apart: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return random.normal(size=(n, d)) + apart * random.normal(size=(classes, d))[labels], labels


def probabilities(n: int = 80, z: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, n)
    logits = random.normal(size=(n, z)) + 2.0 * np.eye(z)[labels]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels


def largest_evidence(features: np.ndarray, y: np.ndarray) -> float:
    """The largest log density of ``y`` under ``N(0, I / beta + F F' / alpha)``, by a search over both."""

    def loss(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        cov = np.eye(len(y)) / beta + features @ features.T / alpha
        return -float(multivariate_normal(np.zeros(len(y)), cov).logpdf(y))

    return -min(minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7}).fun for start in ((0, 0), (2, 3)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("shape", [(24, 4), (12, 15)])
def test_logme_is_the_largest_evidence(shape: tuple[int, int]) -> None:
    features, labels = blobs(*shape)
    expected = np.mean([largest_evidence(features, (labels == c).astype(float)) for c in range(3)]) / len(labels)
    assert logme(features, labels) == pytest.approx(expected, abs=2e-5)


def test_leep_by_its_definition() -> None:
    p, labels = probabilities()
    joint = {(y, z): sum(p[i, z] for i in range(len(p)) if labels[i] == y) / len(p) for y in range(4) for z in range(6)}
    marginal = {z: sum(joint[y, z] for y in range(4)) for z in range(6)}
    terms = [math.log(sum(joint[labels[i], z] / marginal[z] * p[i, z] for z in range(6))) for i in range(len(p))]
    assert leep(p, labels) == pytest.approx(sum(terms) / len(p), abs=1e-12)


def test_nce_by_counting() -> None:
    p, labels = probabilities()
    z = p.argmax(1)
    pairs, singles = Counter(zip(labels.tolist(), z.tolist(), strict=True)), Counter(z.tolist())
    expected = sum(count / len(z) * math.log(count / singles[source]) for (_, source), count in pairs.items())
    assert nce(p, labels) == pytest.approx(expected, abs=1e-12)
    assert nce(z, labels) == pytest.approx(expected, abs=1e-12)


def test_h_score_by_its_definition() -> None:
    features, labels = blobs()
    means = np.stack([features[labels == c].mean(0) for c in labels])
    expected = np.trace(np.linalg.inv(np.cov(features.T, bias=True)) @ np.cov(means.T, bias=True))
    assert h_score(features, labels, shrinkage=0.0) == pytest.approx(expected, rel=1e-9)
    shrunk = 0.7 * np.cov(features.T, bias=True) + 0.3 * np.trace(np.cov(features.T, bias=True)) / 5 * np.eye(5)
    expected = np.trace(np.linalg.inv(shrunk) @ (0.7 * np.cov(means.T, bias=True)))
    assert h_score(features, labels, shrinkage=0.3) == pytest.approx(expected, rel=1e-9)


def test_h_score_shrinks_as_ledoit_and_wolf_do() -> None:
    from sklearn.covariance import LedoitWolf

    features, labels = blobs(30, 50)
    fitted = LedoitWolf().fit(features)
    means = np.stack([features[labels == c].mean(0) for c in labels])
    expected = np.trace(np.linalg.inv(fitted.covariance_) @ ((1 - fitted.shrinkage_) * np.cov(means.T, bias=True)))
    assert h_score(features, labels) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("shape", [(60, 5), (12, 30)])
def test_transrate_by_eigenvalues(shape: tuple[int, int]) -> None:
    features, labels = blobs(*shape)
    centred = features - features.mean(0)

    def rate(rows: np.ndarray) -> float:
        return sum(math.log1p(max(value, 0.0) / 1e-4) for value in np.linalg.eigvalsh(rows.T @ rows / len(rows))) / 2

    expected = rate(centred) - np.mean([rate(centred[labels == c]) for c in range(3)])
    assert transrate(features, labels) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("score", FEATURE_SCORES)
def test_classes_further_apart_score_higher(score: Callable[..., float]) -> None:
    values = [score(*blobs(120, 6, apart=apart)) for apart in (0.5, 1.0, 2.0, 4.0)]
    assert values == sorted(set(values))


@pytest.mark.parametrize("score", SOURCE_SCORES)
def test_a_source_that_tells_the_classes_scores_near_zero(score: Callable[..., float]) -> None:
    labels = np.arange(40) % 4
    sure = np.eye(6)[(labels + 1) % 6]
    assert score(sure, labels) == pytest.approx(0.0, abs=1e-9)
    assert score(np.full((40, 6), 1 / 6), labels) == pytest.approx(-math.log(4))


@pytest.mark.parametrize("score", FEATURE_SCORES)
def test_order_and_names_of_the_classes_do_not_matter(score: Callable[..., float]) -> None:
    features, labels = blobs()
    order = np.random.default_rng(1).permutation(len(labels))
    first = score(features, labels)
    assert score(torch.from_numpy(features)[order], torch.from_numpy(7 * labels[order] + 2)) == pytest.approx(first, rel=1e-9)


def test_logme_survives_features_that_give_the_labels_away() -> None:
    labels = np.arange(30) % 3
    assert math.isfinite(logme(np.eye(3)[labels], labels))
    assert logme(np.eye(3)[labels], labels) > logme(*blobs(30, 3))


@pytest.mark.parametrize("score", [*FEATURE_SCORES, *SOURCE_SCORES])
@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        (torch.rand(4, 2), torch.tensor([0, 1, 0]), r"\(n, d\) and their labels \(n,\); got \(4, 2\) and \(3,\)"),
        (torch.rand(4, 2, 2), torch.tensor([0, 1, 0, 1]), r"got \(4, 2, 2\)"),
        (torch.rand(4, 2), torch.zeros(4, dtype=torch.long), r"at least two classes"),
        (torch.rand(4, 2), torch.tensor([0.0, 1.0, 0.0, 1.0]), r"whole numbers"),
        (torch.full((4, 2), math.nan), torch.tensor([0, 1, 0, 1]), r"not finite"),
    ],
)
def test_what_does_not_fit_is_refused(score: Callable[..., float], rows: Tensor, labels: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        score(rows, labels)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"softmax of logits"):
        leep(torch.randn(6, 3), torch.arange(6) % 2)
    with pytest.raises(UserError, match=r"shrinkage is 1.5"):
        h_score(*blobs(), shrinkage=1.5)
    with pytest.raises(UserError, match=r"epsilon is 0"):
        transrate(*blobs(), epsilon=0)
