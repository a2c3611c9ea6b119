"""Losses of class-wise alignment and of the nuclear norm: value and gradient against numpy, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.losses.test_label_sets import LABELS, LOGITS, conforms, softmax
from tlda import losses

OTHER = torch.randn(6, 4, generator=torch.Generator().manual_seed(3), dtype=torch.double)
P = (torch.randn(6, 5, generator=torch.Generator().manual_seed(4), dtype=torch.double) - torch.tensor([0, 0, 9, 0, 0])).softmax(1)


def test_nuclear_wasserstein() -> None:
    def reference(x: np.ndarray) -> float:
        norms = (np.linalg.svd(softmax(part), compute_uv=False).sum() / len(part) for part in (x, OTHER.numpy()))
        first, second = norms
        return float(first - second)

    conforms(lambda x: losses.nuclear_wasserstein(x, OTHER), reference, LOGITS)
    conforms(lambda x: -losses.nuclear_wasserstein(OTHER, x), reference, LOGITS)


def by_class(x: np.ndarray, widths: float) -> float:
    """The mean over common classes, each with its own means of the kernel, one pair of rows after the other."""
    target, labels, p = OTHER.numpy(), LABELS.numpy(), P.numpy()

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(sum(np.exp(-((a - b) ** 2).sum() / (u * widths)) for u in (0.25, 0.5, 1, 2, 4)))

    common = sorted({*labels.tolist()} & {*p.argmax(1).tolist()})
    assert 0 < len(common) < len({*labels.tolist()} | {*p.argmax(1).tolist()})
    total = 0.0
    for c in common:
        a = (labels == c) / (labels == c).sum()
        b = p[:, c] / p[:, c].sum()
        weights, rows = np.concatenate((a, -b)), np.concatenate((x, target))
        total += sum(weights[i] * weights[j] * kernel(rows[i], rows[j]) for i in range(11) for j in range(11))
    return total / len(common)


def test_local_mmd() -> None:
    rows = torch.cat((LOGITS, OTHER))
    width = torch.pdist(rows).square().mean().item()  # of the batch, and no part of the gradient
    conforms(lambda x: losses.local_mmd(x, OTHER, LABELS, P), lambda x: by_class(x, width), LOGITS)


def test_local_mmd_without_a_common_class_is_0() -> None:
    features: Tensor = LOGITS.clone().requires_grad_()
    found = losses.local_mmd(features, OTHER, torch.full((5,), 4), torch.eye(5).double()[[0] * 6])
    assert found.item() == 0
    assert losses.local_mmd(OTHER, OTHER, torch.arange(6) % 5, torch.eye(5).double()[torch.arange(6) % 5]).item() == pytest.approx(
        0, abs=1e-12
    )
