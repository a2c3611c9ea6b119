"""Gradient reversal."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.coefficient * grads[0], None


def reverse_gradient(x: Tensor, coefficient: float = 1.0) -> Tensor:
    """The identity whose gradient is multiplied by ``-coefficient`` (Ganin et al., JMLR 2016, eq. 17-18)."""
    reversed_: Tensor = _Reversal.apply(x, coefficient)
    return reversed_
