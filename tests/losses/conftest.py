"""How a loss is compared with an independent implementation: its value and its gradient, in float64."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

STEP = 1e-6


def differences(reference: Callable[..., float], arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The central differences of ``reference`` at ``arrays``."""
    gradients = [np.empty_like(array) for array in arrays]
    for array, gradient in zip(arrays, gradients, strict=True):
        for index in np.ndindex(array.shape):
            middle = array[index]
            array[index] = middle + STEP
            above = reference(*arrays)
            array[index] = middle - STEP
            gradient[index] = (above - reference(*arrays)) / (2 * STEP)
            array[index] = middle
    return gradients


@pytest.fixture
def conforms() -> Callable[..., None]:
    """Asserts that ``loss`` of tensors has the value and the gradients of ``reference`` of arrays."""

    def check(loss: Callable[..., Any], reference: Callable[..., float], *arrays: np.ndarray, rel: float = 1e-9) -> None:
        tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
        value = loss(*tensors)
        assert value.shape == ()
        assert value.item() == pytest.approx(reference(*arrays), rel=rel, abs=1e-12)
        gradients = torch.autograd.grad(value, tensors, materialize_grads=True)
        for gradient, expected in zip(gradients, differences(reference, [array.copy() for array in arrays]), strict=True):
            np.testing.assert_allclose(gradient.numpy(), expected, rtol=max(1e-5, 10 * rel), atol=1e-8)

    return check
