"""Gradient penalty of a critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from tlda.errors import UserError
from tlda.nn.numerics import full_precision, option

Variant = Literal["interpolates", "wdgrl"]


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    source: Tensor,
    target: Tensor,
    epsilon: Tensor | None = None,
    variant: Variant = "interpolates",
) -> Tensor:
    r"""The squared distance from 1 of the norm of the critic's gradient (Gulrajani et al., NeurIPS 2017, eq. 3, without its lambda).

    .. math:: \frac{1}{n} \sum_i \left(\lVert \nabla D(u_i) \rVert - 1\right)^2, \quad u_i = \epsilon_i f_i + (1 - \epsilon_i) g_i

    It trains the critic alone: no gradient reaches what ``source`` and ``target`` came from.

    Args:
        critic: maps (k, ...) to a number each, (k,) or (k, 1).
        source: features or images, (n, ...).
        target: the same of the other domain, of the same shape.
        epsilon: where on the line from target (0) to source (1), (n,); uniform by default.
        variant: ``interpolates`` looks at those points; ``wdgrl`` (Shen et al., AAAI 2018) at both domains too.

    Raises:
        UserError: the shapes differ.

    Example:
        >>> source, target = torch.zeros(2, 3), torch.ones(2, 3)
        >>> round(gradient_penalty(lambda x: 3.0 * x[:, 0], source, target).item(), 4)
        4.0
    """
    if source.shape != target.shape:
        raise UserError(f"gradient_penalty interpolates between inputs of one shape, got {tuple(source.shape)} and {tuple(target.shape)}")
    source, target = source.detach(), target.detach()
    share = torch.rand(len(source), device=source.device, dtype=source.dtype) if epsilon is None else epsilon.to(source)
    between = torch.lerp(target, source, share.reshape(-1, *[1] * (source.ndim - 1)))
    choices = {"interpolates": [between], "wdgrl": [source, target, between]}
    points = torch.cat(option("gradient_penalty", "variant", variant, choices)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    # Of a critic that is flat the norm has no direction, and torch's gradient there is 0, not NaN.
    norms: Tensor = torch.linalg.vector_norm(full_precision(gradient).flatten(1), dim=1)
    return (norms - 1.0).square().mean()
