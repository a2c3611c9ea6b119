"""The identity with a scaled gradient, and the gradients of several losses on a network that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from tlda.errors import UserError


class _Scaled(FunctionCtx):
    gate: Gate


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Scaled, x: Tensor, gate: Gate) -> Tensor:
        ctx.gate = gate
        return x.view_as(x)

    @staticmethod
    def backward(ctx: _Scaled, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.gate.coefficient * grads[0], None


class Gate:
    """The identity whose gradient is multiplied by ``coefficient``, by its value at the time of the backward pass.

    Between the shared features and the head of a task it weights the gradient of that task on all shared parameters; the gradient of
    the head stays as it is.
    """

    def __init__(self, coefficient: float = 1.0) -> None:
        self.coefficient = coefficient

    def __call__(self, x: Tensor) -> Tensor:
        passed: Tensor = _Scale.apply(x, self)
        return passed


def reverse_gradient(x: Tensor, coefficient: float = 1.0) -> Tensor:
    """The identity whose gradient is multiplied by ``-coefficient`` (Ganin et al., JMLR 2016, eq. 17-18)."""
    return Gate(-coefficient)(x)


def shared_parameters(modules: Sequence[nn.Module], which: str) -> list[nn.Parameter]:
    """The trained parameters of ``modules``: ``all``, or the weights of the ``last`` layer.

    Raises:
        UserError: there are none: all is frozen.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    chosen = parameters if which == "all" else [p for p in parameters if p.ndim > 1][-1:]
    if not chosen:
        raise UserError(
            "the weighting looks at the tasks' gradients on the shared network, which is frozen: use Equal, or train some of it"
        )
    return chosen


def gradient_products(losses: Sequence[Tensor], parameters: Sequence[Tensor], reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """The dot products (t, t) of the gradients of the losses, each first averaged over processes by ``reduce``."""
    found = [torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True) for loss in losses]
    table = losses[0].new_zeros(len(losses), len(losses))
    for parts in zip(*found, strict=True):  # of one parameter at a time: all together would be a copy of the network for each task
        rows = reduce(torch.stack([part.flatten().to(table) for part in parts]))
        table += rows @ rows.T
    return table.detach()
