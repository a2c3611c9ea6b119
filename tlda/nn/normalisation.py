"""Normalisation layers of a network: which there are, and their scales and shifts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from tlda.nn.modes import without_statistics

BatchNormUse = Literal["joint", "separate", "target"]
"""How two domains go through BatchNorm in training, and which statistics a test uses.

``joint``: as one batch, by their common statistics, which keeps the gap between them in the features; a test uses their running average.
``separate``: each by its own, so that both have the same means and spreads; a test uses the running average over both.
``target``: as ``separate``, and a test uses the running average over the target alone.
"""


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of ``module``."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def affine_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The scales and shifts of the normalisation layers of ``module``, of every kind."""
    kinds = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    return [parameter for layer in module.modules() if isinstance(layer, kinds) for parameter in layer.parameters(recurse=False)]


M = TypeVar("M", bound=nn.Module)


def one_by_one(module: nn.Module, inputs: Sequence[Any], use: BatchNormUse) -> list[Any]:
    """Send the inputs of several domains through ``module`` one after the other, the target's last.

    Under ``target``, the running statistics of BatchNorm learn from the last alone.
    """
    outputs = []
    for number, x in enumerate(inputs, 1):
        learns = number == len(inputs) or use != "target"
        with nullcontext() if learns else without_statistics(module):
            outputs.append(module(x))
    return outputs


def use_batch_statistics(module: M) -> M:
    """``module``, whose BatchNorm layers have forgotten their running statistics and normalise each batch by its own from now on."""
    for layer in batch_norms(module):
        layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
    return module


@contextmanager
def by_batch_statistics(module: nn.Module, first: int | None = None) -> Iterator[None]:
    """Within, BatchNorm in ``module`` normalises a batch by its own statistics, or by those of its ``first`` rows; it remembers neither."""
    layers = batch_norms(module)
    for layer in layers:
        vars(layer)["forward"] = partial(_normalised, layer, first)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


def _normalised(layer: _BatchNorm, first: int | None, x: Tensor) -> Tensor:
    if first is None or first == len(x):
        return batch_norm(x, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)
    shape = [1, -1, *[1] * (x.ndim - 2)]
    var, mean = torch.var_mean(x[:first].float(), [0, *range(2, x.ndim)], correction=0)
    scale = (var + layer.eps).rsqrt() if layer.weight is None else (var + layer.eps).rsqrt() * layer.weight
    shift = -mean * scale if layer.bias is None else layer.bias - mean * scale
    return x * scale.view(shape) + shift.view(shape)
