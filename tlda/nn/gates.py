"""What weights the gradients of several losses on a network that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tlda.errors import UserError


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Gate) -> Tensor:
        ctx.gate = gate
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.gate.coefficient * grads[0], None


class Gate:
    """The identity whose gradient is multiplied by ``coefficient``, as that is when the gradient comes.

    Between the shared features and a task's head it weighs the task's gradient on all that is shared, and leaves its head's.
    """

    coefficient: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        passed: Tensor = _Scale.apply(x, self)
        return passed


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


def gradient_products(losses: Sequence[Tensor], parameters: Sequence[Tensor], reduce: Callable[[Tensor], Any]) -> Tensor:
    """The dot products (t, t) of the gradients of the losses, each first averaged over processes by ``reduce``."""
    found = [torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True) for loss in losses]
    table = losses[0].new_zeros(len(losses), len(losses))
    for parts in zip(*found, strict=True):  # of one parameter at a time: all together would be a copy of the network for each task
        rows = reduce(torch.stack([part.flatten().to(table) for part in parts]))
        table += rows @ rows.T
    return table.detach()
