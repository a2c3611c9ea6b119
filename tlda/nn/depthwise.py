"""Depthwise convolutions in float32 where a processor trains in mixed precision: in bfloat16 their gradient takes several times as long."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def train_depthwise_in_float32(network: nn.Module) -> None:
    """Let the depthwise convolutions of ``network`` leave a processor's autocast where gradients are taken; other layers stay in it."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            layer.register_forward_pre_hook(_leave)
            layer.register_forward_hook(_resume, always_call=True)


def _leave(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor, ...] | None:
    x = inputs[0]
    if not (x.device.type == "cpu" and torch.is_grad_enabled() and torch.is_autocast_enabled("cpu")):
        return None
    torch.set_autocast_enabled("cpu", False)
    layer.__dict__["_left"] = True  # past nn.Module, which looks at each value for parameters
    return (x.float(),)


def _resume(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    if layer.__dict__.pop("_left", False):
        torch.set_autocast_enabled("cpu", True)
