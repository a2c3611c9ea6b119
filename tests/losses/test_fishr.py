"""Fishr's gradients in closed form against automatic differentiation, one row at a time."""

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.functional import cross_entropy, linear

from tlda.errors import UserError
from tlda.losses import gradient_variance, variance_distance

FEATURES = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
WEIGHT = torch.tensor([[0.2, -0.4], [0.1, 0.3], [-0.5, 0.6]], dtype=torch.float64)
BIAS = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
LABELS = torch.tensor([0, 2, 1, 1])


def row_loss(weight: Tensor, bias: Tensor, features: Tensor, label: Tensor) -> Tensor:
    return cross_entropy(linear(features, weight, bias), label)


def by_row(features: Tensor) -> Tensor:
    """The variances of gradients that are computed row by row."""
    weights, biases = vmap(grad(row_loss, argnums=(0, 1)), in_dims=(None, None, 0, 0))(WEIGHT, BIAS, features, LABELS)
    variances: Tensor = torch.cat((weights, biases[:, :, None]), 2).var(0, unbiased=False).flatten()
    return variances


def test_variance_and_its_gradient_are_those_of_each_rows_gradient() -> None:
    ours, theirs = (FEATURES.clone().requires_grad_() for _ in range(2))
    found, wanted = gradient_variance(ours, linear(ours, WEIGHT, BIAS), LABELS), by_row(theirs)
    torch.testing.assert_close(found, wanted)
    factor = torch.arange(len(found), dtype=torch.float64)
    torch.testing.assert_close(*(torch.autograd.grad(factor @ value, x)[0] for value, x in ((found, ours), (wanted, theirs))))


def test_distance_of_the_variances() -> None:
    first, second = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in ([1.0, 0.0], [3.0, 4.0]))
    distance = variance_distance([first, second])
    assert distance.item() == 5.0  # a quarter of the squared distance of two
    torch.testing.assert_close(torch.autograd.grad(distance, first)[0], torch.tensor([-1.0, -2.0], dtype=torch.float64))


def test_bad_input_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"gradient_variance needs a labelled row of each domain, got none; raise the batch size"):
        gradient_variance(FEATURES, FEATURES, torch.full((4,), -1))
    with pytest.raises(UserError, match=r"variance_distance takes the variances of at least one domain, got none"):
        variance_distance([])
