"""Convolutions that leave bfloat16 where a processor trains in mixed precision: it would be slow, or wrong.

The gradient of a depthwise one takes several times as long. That of a strided one on maps of one position is of memory that nothing
wrote, NaN or any number, on processors with AMX (oneDNN 3.12, in torch 2.14).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def convolutions_in_float32(network: nn.Module) -> None:
    """Let those convolutions of ``network`` leave a processor's autocast where gradients are taken; other layers stay in it."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and (_is_depthwise(layer) or max(layer.stride) > 1):
            layer.register_forward_pre_hook(_leave)
            layer.register_forward_hook(_resume, always_call=True)


def _is_depthwise(layer: nn.Conv2d) -> bool:
    return layer.groups == layer.in_channels > 1


def _leave(layer: nn.Conv2d, inputs: tuple[Any, ...]) -> tuple[Tensor, ...] | None:
    x = inputs[0]
    if not (x.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")):
        return None
    if not _is_depthwise(layer) and tuple(x.shape[-2:]) != (1, 1):
        return None
    torch.set_autocast_enabled("cpu", False)
    layer.__dict__["_left"] = True  # past nn.Module, which looks at each value for parameters
    return (x.float(),)


def _resume(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    if layer.__dict__.pop("_left", False):
        torch.set_autocast_enabled("cpu", True)
