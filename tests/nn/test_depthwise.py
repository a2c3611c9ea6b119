"""Depthwise convolutions leave a processor's mixed precision, and nothing else does."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from tlda.nn.depthwise import train_depthwise_in_float32


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 2, 1))


def kinds(net: nn.Sequential, x: Tensor, enabled: bool = True) -> list[torch.dtype]:
    found = []
    with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
        for layer in net:
            x = layer(x)
            found.append(x.dtype)
    return found


def test_only_depthwise_layers_leave_autocast_and_only_where_gradients_are_taken() -> None:
    net, x = network(), torch.rand(2, 3, 8, 8)
    train_depthwise_in_float32(net)
    low, single = torch.bfloat16, torch.float32
    for same in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert kinds(same, x) == [low, single, low, low]
        with torch.no_grad():
            assert kinds(same, x) == [low] * 4
        assert kinds(same, x, enabled=False) == [single] * 4


def test_values_and_gradients_are_those_of_float32() -> None:
    layer, x = network()[1], torch.rand(2, 4, 8, 8)
    wanted = copy.deepcopy(layer)
    train_depthwise_in_float32(nn.Sequential(layer))
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
    for y in (output, wanted(x)):
        y.square().sum().backward()
    assert torch.equal(output, wanted(x))
    assert torch.equal(layer.weight.grad, wanted.weight.grad)  # type: ignore[arg-type]


def test_an_error_inside_leaves_autocast_as_it_was() -> None:
    net = network()
    train_depthwise_in_float32(net)
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(RuntimeError):
            net[1](torch.rand(2, 5, 8, 8))
        assert torch.is_autocast_enabled("cpu")
