"""What the losses share: precision, checks of their inputs, and decompositions that survive a diverged run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from tlda.errors import UserError, near

Choice = TypeVar("Choice")


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
