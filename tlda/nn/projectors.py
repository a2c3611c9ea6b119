"""Projectors and predictors of self-supervised learning."""

from __future__ import annotations

import itertools

from torch import nn


def projector(inputs: int, hidden: int, outputs: int, layers: int = 2, last_norm: bool = False) -> nn.Sequential:
    """Linear layers with BatchNorm and ReLU between, from features (n, ``inputs``) to (n, ``outputs``).

    ``last_norm`` puts a BatchNorm without parameters at the end.
    """
    widths = [inputs, *[hidden] * (layers - 1)]
    parts: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        parts += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
    parts += [nn.Linear(widths[-1], outputs, bias=not last_norm)]
    return nn.Sequential(*parts, *([nn.BatchNorm1d(outputs, affine=False)] if last_norm else []))
