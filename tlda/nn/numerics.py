"""What the losses share: precision, checks of their inputs, and decompositions that survive a diverged run."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from tlda.errors import UserError, near

Choice = TypeVar("Choice")
Given = ParamSpec("Given")


def without_autocast(function: Callable[Given, Tensor]) -> Callable[Given, Tensor]:
    """``function`` of tensors at the precision of its inputs: under autocast its products would lose their digits."""

    @functools.wraps(function)
    def exact(*args: Given.args, **kwargs: Given.kwargs) -> Tensor:
        kind = next(arg.device.type for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor))
        with torch.autocast(kind, enabled=False):
            return function(*args, **kwargs)

    return exact


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 at least: sums over a batch lose their digits in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def feature_pair(loss: str, source: Tensor, target: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """The features of both domains, (n, d) and (m, d), at full precision.

    Raises:
        UserError: ``loss`` cannot compare them: another rank or width, or fewer rows than ``least``.
    """
    if source.ndim != 2 or target.ndim != 2 or source.shape[1] != target.shape[1]:
        raise UserError(f"{loss} compares rows of one width, (n, d) and (m, d); got {tuple(source.shape)} and {tuple(target.shape)}")
    if min(len(source), len(target)) < least:
        raise UserError(f"{loss} needs at least {least} rows of each domain, got {len(source)} and {len(target)}; raise the batch size")
    return full_precision(source), full_precision(target)


def log_probabilities(logits: Tensor) -> Tensor:
    """The log of the predictions, (n, c) to (n, c), at full precision."""
    return full_precision(logits).log_softmax(1)


def option(loss: str, name: str, value: str, choices: Mapping[str, Choice]) -> Choice:
    """``choices[value]``.

    Raises:
        UserError: ``loss`` has no such ``value`` for its argument ``name``.
    """
    if value not in choices:
        raise UserError(f"{loss} has no {name} '{value}'{near(value, choices)}")
    return choices[value]


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """The squared Euclidean distances of all pairs of rows, (n, d) and (m, d) to (n, m)."""
    # By one product, which is seven times faster than differences. Distances do not move when all rows do, and centred
    # rows keep their digits in it.
    centre = second.detach().mean(0)
    first, second = first - centre, second - centre
    return (first.square().sum(1)[:, None] + second.square().sum(1) - 2.0 * first @ second.T).clamp_min(0.0)


def spectrum(values: Callable[[Tensor], Tensor], matrix: Tensor) -> Tensor:
    """Singular or eigenvalues by ``values(matrix)``; NaN where the matrix is not finite.

    LAPACK raises there, before the trainer could say which loss diverged. The gradients of values, unlike those of
    vectors, have no ``1 / (s_i - s_j)``: they are finite at equal and at zero values too.
    """
    return values(matrix) if bool(matrix.isfinite().all()) else matrix.flatten()[:1] * math.nan


def thin_svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Decompose ``matrix`` (n, d) into left vectors (n, k), values (k,) and right vectors (d, k), k the smaller of n and d, in float64.

    All are NaN where the matrix is not finite, as in :func:`spectrum`. The gradient of a vector has ``1 / (s_i^2 - s_j^2)``, which has no
    bound where two values are nearly equal: below the resolution of the dtype of the ``matrix`` it is damped, and zero for equal values.
    """
    if not bool(matrix.isfinite().all()):
        k = min(matrix.shape)
        missing = matrix.double().flatten()[:1] * math.nan
        return missing.expand(len(matrix), k), missing.expand(k), missing.expand(matrix.shape[1], k)
    decomposed: tuple[Tensor, Tensor, Tensor] = _ThinSVD.apply(matrix.double(), math.sqrt(torch.finfo(matrix.dtype).eps))
    return decomposed


def numerical_rank(values: Tensor) -> int:
    """How many of the descending singular ``values`` are more than rounding noise of float32; all of them where they are NaN."""
    return int((~(values <= 1e-6 * values[0])).sum())


class _Decomposed(FunctionCtx):
    resolution: float
    saved_tensors: tuple[Tensor, ...]


class _ThinSVD(torch.autograd.Function):
    """The thin singular value decomposition, whose gradient is finite."""

    @staticmethod
    def forward(ctx: _Decomposed, matrix: Tensor, resolution: float) -> tuple[Tensor, Tensor, Tensor]:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        ctx.save_for_backward(left, values, right.mT)
        ctx.resolution = resolution
        return left, values, right.mT

    @staticmethod
    def backward(ctx: _Decomposed, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient on the matrix, of those on its left vectors, values and right vectors."""
        # Townsend, Differentiating the singular value decomposition (2016), with damped reciprocals.
        (left, values, right), (d_left, d_values, d_right) = ctx.saved_tensors, gradients
        squares = values.square()
        gaps = squares[None, :] - squares[:, None]
        widths = ctx.resolution * (squares[None, :] + squares[:, None])
        reciprocals = gaps / (gaps.square() + widths.square()).clamp_min(torch.finfo(values.dtype).tiny)
        turns = [reciprocals * (x - x.mT) for x in (left.mT @ d_left, right.mT @ d_right)]
        inner = turns[0] * values + values[:, None] * turns[1] + d_values.diag()
        inverse = values / (squares + (ctx.resolution * values[0]).square()).clamp_min(torch.finfo(values.dtype).tiny)
        outer = (d_left - left @ (left.mT @ d_left)) * inverse @ right.mT
        return left @ inner @ right.mT + outer + (left * inverse) @ (d_right - right @ (right.mT @ d_right)).mT, None
