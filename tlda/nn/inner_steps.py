"""Gradient steps that a gradient goes through."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def inner_steps(
    loss: Callable[[dict[str, Tensor]], Tensor], weights: Mapping[str, Tensor], lr: float, steps: int, second_order: bool
) -> dict[str, Tensor]:
    """The weights after ``steps`` of plain gradient descent on ``loss``, as a function of those that it starts from.

    Args:
        loss: of weights by name, a scalar.
        weights: the start.
        lr: the learning rate.
        steps: how many.
        second_order: whether their gradient goes through that of the loss; if not, a step is a shift by a constant (Finn et al., ICML
            2017, sec. 5.2).

    Example:
        >>> start = {"w": torch.tensor(2.0, requires_grad=True)}
        >>> round(inner_steps(lambda w: (w["w"] - 0.5) ** 2 / 2, start, 0.1, 1, True)["w"].item(), 4)
        1.85
    """
    current = dict(weights)
    for _ in range(steps):
        gradients = torch.autograd.grad(loss(current), list(current.values()), create_graph=second_order, materialize_grads=True)
        current = {name: value - lr * gradient for (name, value), gradient in zip(current.items(), gradients, strict=True)}
    return current
