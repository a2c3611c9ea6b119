"""Normalisation layers of a network: which there are, and their scales and shifts."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of ``module``."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def affine_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The scales and shifts of the normalisation layers of ``module``, of every kind."""
    kinds = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    return [parameter for layer in module.modules() if isinstance(layer, kinds) for parameter in layer.parameters(recurse=False)]


M = TypeVar("M", bound=nn.Module)


def use_batch_statistics(module: M) -> M:
    """``module``, whose BatchNorm layers have forgotten their running statistics and normalise each batch by its own from now on."""
    for layer in batch_norms(module):
        layer.track_running_stats, layer.running_mean, layer.running_var = False, None, None
    return module
