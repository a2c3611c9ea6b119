"""The distance of two graphs' spectra against numpy, and what leaves it as it is."""

import numpy as np
import pytest
import torch

from tlda.losses import graph_spectra


def spectrum(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.sqrt((rows**2).sum(1, keepdims=True))
    affinity = np.exp(-((unit[:, None] - unit) ** 2).sum(2))
    degrees = np.diag(1 / np.sqrt(affinity.sum(1)))
    return np.sort(np.linalg.eigvals(np.eye(len(rows)) - degrees @ affinity @ degrees).real)


def test_graph_spectra(conforms) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(5, 3)), np.add(rng.normal(size=(5, 3)), [2.0, 0.0, 0.0])
    conforms(graph_spectra, lambda s, t: float(np.abs(spectrum(s) - spectrum(t)).mean()), source, target, rel=1e-7)


def test_a_turn_of_all_features_or_another_order_of_the_rows_changes_nothing() -> None:
    rows = torch.randn(6, 4, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64)).Q
    assert float(graph_spectra(rows, rows.flip(0) @ turn)) == pytest.approx(0, abs=1e-12)


def test_equal_rows_have_a_finite_gradient() -> None:
    rows = torch.ones(4, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(graph_spectra(rows, torch.randn(4, 3)), rows)
    assert gradient.isfinite().all()
