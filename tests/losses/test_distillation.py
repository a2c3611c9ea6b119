"""Distillation: its value and gradient, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tlda.errors import UserError
from tlda.losses import distillation

Z = np.array([[1.0, -2, 0.5], [0, 3, 1]])
TEACHER = np.array([[2.0, 0, -1], [1, 1, -3]])


def divergence(logits: NDArray[np.float64], teacher: NDArray[np.float64], temperature: float) -> float:
    """Row by row, as the paper writes it."""
    total = 0.0
    for z, t in zip(logits / temperature, teacher / temperature, strict=True):
        p, q = np.exp(z) / np.exp(z).sum(), np.exp(t) / np.exp(t).sum()
        total += float(sum(b * np.log(b / a) for a, b in zip(p, q, strict=True)))
    return temperature**2 * total / len(logits)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_it_is_the_divergence_from_the_teacher(conforms: Callable[..., None], temperature: float) -> None:
    teacher = torch.tensor(TEACHER, requires_grad=True)
    conforms(lambda z: distillation(z, teacher, temperature), lambda z: divergence(z, TEACHER, temperature), Z)
    assert teacher.grad is None
    assert distillation(teacher, teacher).item() == pytest.approx(0.0, abs=1e-12)


def test_a_warm_teacher_of_small_logits_is_a_half_of_squared_differences() -> None:
    """At a high temperature it is the squared distance of centred logits over twice their number (Hinton et al., eq. 4)."""
    z, t = (torch.tensor(array) - torch.tensor(array).mean(1, keepdim=True) for array in (Z, TEACHER))
    expected = (z - t).square().sum(1).mean() / (2 * z.shape[1])
    torch.testing.assert_close(distillation(z, t, 1e4), expected, rtol=1e-3, atol=0)


def test_other_rows_and_no_temperature_are_refused() -> None:
    with pytest.raises(UserError, match=r"the same rows, and got \(2, 3\) and \(2, 2\)"):
        distillation(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(UserError, match="the temperature is 0, and it must be above 0"):
        distillation(torch.zeros(2, 3), torch.zeros(2, 3), 0)
