"""Losses of self-supervision, image and text, and few shots: agreed values, and an independent implementation in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlda import losses
from tlda.errors import UserError

Array = NDArray[np.float64]

Z1 = np.array([[1.0, 2, 0, 1], [0, 1, 1, 2], [2, 0, 1, 0], [1, 1, 1, 3]])
Z2 = np.array([[1.0, 1, 0, 2], [0, 2, 1, 1], [1, 0, 1, 0], [2, 1, 1, 2]])
LABELS = np.array([0, 2, 1, 1])
WRONG: Any = "papers"
CENTRE = np.array([0.1, -0.2, 0.3, 0.0])


def unit(z: Array) -> Array:
    return np.asarray(z / np.sqrt((z**2).sum(1, keepdims=True)))


def log_softmax(z: Array) -> Array:
    return np.asarray(z - np.log(np.exp(z).sum(-1, keepdims=True)))


def contrast(z1: Array, z2: Array, labels: NDArray[np.int64], temperature: float) -> float:
    """Row by row, as the papers write it."""
    z, labels = np.concatenate((unit(z1), unit(z2))), np.concatenate((labels, labels))
    terms = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        total = sum(np.exp(z[i] @ z[a] / temperature) for a in others)
        terms.append(-np.mean([np.log(np.exp(z[i] @ z[p] / temperature) / total) for p in others if labels[p] == labels[i]]))
    return float(np.mean(terms))


def variance_invariance_covariance(z1: Array, z2: Array, mean: bool = True) -> float:
    hinges = [np.maximum(0, 1 - np.sqrt(z.var(0, ddof=1) + 1e-4)).mean() for z in (z1, z2)]
    covariances = [np.cov(z.T) for z in (z1, z2)]
    off = sum((c**2).sum() - (np.diag(c) ** 2).sum() for c in covariances) / z1.shape[1]
    return float(25 * ((z1 - z2) ** 2).mean() + 25 * sum(hinges) / (2 if mean else 1) + off)


def correlation_to_identity(z1: Array, z2: Array) -> float:
    first, second = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (z1, z2))
    c = np.einsum("ni,nj->ij", first, second) / len(z1)
    return float(((np.diag(c) - 1) ** 2).sum() + 5e-3 * ((c**2).sum() - (np.diag(c) ** 2).sum()))


def cosine(z1: Array, z2: Array) -> float:
    return float((unit(z1) * unit(z2)).sum(1).mean())


def image_text(z1: Array, z2: Array) -> float:
    logits = unit(z1) @ unit(z2).T / 0.07
    return float(-(np.diag(log_softmax(logits)).mean() + np.diag(log_softmax(logits.T)).mean()) / 2)


def distilled(z1: Array) -> float:
    wanted = np.exp(log_softmax((Z2 - CENTRE) / 0.04))
    return float(-(wanted * log_softmax(z1 / 0.1)).sum(1).mean())


second = torch.tensor(Z2)
CASES: dict[str, tuple[Callable[..., Tensor], Callable[..., float], list[Array], float | None]] = {
    "nt_xent": (lambda a, b: losses.nt_xent(a, b, 0.5), lambda a, b: contrast(a, b, np.arange(4), 0.5), [Z1, Z2], 1.5213610286),
    "sup_con": (lambda a, b: losses.sup_con(a, b, torch.tensor(LABELS), 0.5), lambda a, b: contrast(a, b, LABELS, 0.5), [Z1, Z2], None),
    "vicreg": (losses.vicreg, variance_invariance_covariance, [Z1, Z2], 17.0884739034),
    "vicreg sum": (
        lambda a, b: losses.vicreg(a, b, variant="sum"), lambda a, b: variance_invariance_covariance(a, b, False), [Z1, Z2], 22.6387533624
    ),
    "barlow_twins": (losses.barlow_twins, correlation_to_identity, [Z1, Z2], None),
    "byol": (lambda a: losses.byol(a, second), lambda a: 2 - 2 * cosine(a, Z2), [Z1], 0.2358895531),
    "simsiam": (lambda a: losses.simsiam(a, second), lambda a: -cosine(a, Z2), [Z1], 0.2358895531 / 2 - 1),
    "dino": (lambda a: losses.dino(a, second, 0.1, 0.04, torch.tensor(CENTRE)), distilled, [Z1], None),
    "clip": (lambda a, b: losses.clip(a, b, 0.07), image_text, [Z1, Z2], 0.7165171183),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient(name: str, conforms: Any) -> None:
    loss, reference, arrays, agreed = CASES[name]
    conforms(loss, reference, *arrays)
    if agreed is not None:
        assert loss(*map(torch.tensor, arrays)).item() == pytest.approx(agreed, abs=5e-10)


@pytest.mark.parametrize("loss", [losses.byol, losses.simsiam, lambda a, b: losses.dino(a, b, 0.1, 0.04, torch.zeros(4))])
def test_the_target_of_a_prediction_has_no_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    prediction, target = (torch.tensor(z, requires_grad=True) for z in (Z1, Z2))
    loss(prediction, target).backward()
    assert prediction.grad is not None
    assert prediction.grad.abs().max() > 0
    assert target.grad is None


def test_prototype_logits_are_negative_sums_of_squares(conforms: Any) -> None:
    query, prototypes = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    assert losses.prototype_logits(query, prototypes).softmax(1)[0, 0].item() == pytest.approx(0.9998766054, abs=1e-7)
    conforms(lambda a, b: losses.prototype_logits(a, b)[1, 2], lambda a, b: -((a[1] - b[2]) ** 2).sum(), Z1, Z2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: losses.nt_xent(z, z[:3], 0.5), "pairs the rows of two views, and got 4 and 3"),
        (lambda z: losses.nt_xent(z, z, 0.0), r"temperature is 0\.0, and it must be above 0"),
        (lambda z: losses.clip(z, z[:, :2], 0.07), r"rows of one width, .*got \(4, 4\) and \(4, 2\)"),
        (lambda z: losses.vicreg(z[:1], z[:1]), "needs at least 2 rows"),
        (lambda z: losses.vicreg(z, z, 25, 25, 1, WRONG), "no variant 'papers'"),
        (lambda z: losses.dino(z, z, 0.1, 0.0, z[0]), "must be above 0"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(call: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(UserError, match=message):
        call(torch.tensor(Z1))


def test_masked_pixels_counts_covered_patches_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction, target = (torch.rand(2, 4, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    masked = torch.tensor([[True, False, True, True], [False, False, True, False]])
    scaled = (target.numpy() - target.numpy().mean(2, keepdims=True)) / np.sqrt(target.numpy().var(2, keepdims=True) + 1e-6)
    for normalise, wanted in ((True, scaled), (False, target.numpy())):
        errors = (prediction.detach().numpy() - wanted) ** 2
        value = losses.masked_pixels(prediction.requires_grad_(), target, masked, normalise)
        assert float(value.detach()) == pytest.approx(errors[masked.numpy()].mean(), abs=1e-12)
        (gradient,) = torch.autograd.grad(value, prediction)
        by_hand = 2 * (prediction.detach().numpy() - wanted) * masked.numpy()[:, :, None] / (4 * 3)
        np.testing.assert_allclose(gradient.numpy(), by_hand, atol=1e-12)
    seen = target.where(masked[:, :, None], 7 * target)
    assert torch.equal(losses.masked_pixels(prediction, target, masked), losses.masked_pixels(prediction, seen, masked))
    with pytest.raises(UserError, match="no covered patch to predict"):
        losses.masked_pixels(prediction, target, torch.zeros_like(masked))
    with pytest.raises(UserError, match="compares patches"):
        losses.masked_pixels(prediction, target[:, :2], masked)
