"""Normalisation layers of a network: which there are, and their scales and shifts."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase


def batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """The BatchNorm layers of ``module``."""
    return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]


def affine_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The scales and shifts of the normalisation layers of ``module``, of every kind."""
    kinds = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
    return [parameter for layer in module.modules() if isinstance(layer, kinds) for parameter in layer.parameters(recurse=False)]
