"""A frozen network with fewer steps: the BatchNorm after a convolution becomes part of its weights."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Net = TypeVar("Net", bound=nn.Module)
TOLERANCE = 1e-3
"""The most that an output may change, over the largest output."""


@torch.no_grad()
def folded(network: Net, x: Tensor) -> Net:
    """``network`` with its BatchNorms in the convolutions before them; itself where that changes what it makes of ``x``.

    Args:
        network: in evaluation mode.
        x: a few rows, in the network's precision.
    """
    if not (pairs := _pairs(network, x)):
        return network
    result = copy.deepcopy(network)
    for before, after in pairs:
        convolution: Any = result.get_submodule(before)
        norm: Any = result.get_submodule(after)
        result.set_submodule(before, fuse_conv_bn_eval(convolution, norm))
        result.set_submodule(after, _rest(norm))
    expected, found = network(x), result(x)
    # A convolution whose output goes elsewhere too cannot be known by its modules.
    return result if bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max()) else network


def _pairs(network: nn.Module, x: Tensor) -> list[tuple[str, str]]:
    """The names of the convolutions and the BatchNorms that take their output as it is, each of which runs once."""
    made: dict[int, tuple[str, Tensor]] = {}
    found: list[tuple[str, str]] = []
    calls: Counter[str] = Counter()

    def convolved(name: str, output: Tensor) -> None:
        made[id(output)] = name, output  # held, so that no other tensor gets its id
        calls[name] += 1

    def normalises(name: str, x: Tensor) -> None:
        calls[name] += 1
        if id(x) in made:
            found.append((made[id(x)][0], name))

    hooks = list(_watch(network, convolved, normalises))
    network(x)
    for hook in hooks:
        hook.remove()
    return [pair for pair in found if all(calls[name] == 1 for name in pair)]


def _watch(network: nn.Module, convolved: Any, normalises: Any) -> Iterator[Any]:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            yield module.register_forward_hook(lambda _, inputs, output, name=name: convolved(name, output))
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and _rest(module) is not None:
            yield module.register_forward_pre_hook(lambda _, inputs, name=name: normalises(name, inputs[0]))


def _rest(norm: Any) -> Any:
    """What a BatchNorm does besides: nothing, or in timm's kind its dropout and its activation; None where it is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity()
    parts: list[Any] = [getattr(norm, name, None) for name in ("drop", "act")]
    return nn.Sequential(*parts) if all(isinstance(part, nn.Module) for part in parts) else None
