"""Depthwise convolutions leave a processor's mixed precision, and nothing else does."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from tlda.nn.autocast import convolutions_in_float32


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
    convolutions_in_float32(net)
    low, single = torch.bfloat16, torch.float32
    for same in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert kinds(same, x) == [low, single, low, low]
        with torch.no_grad():
            assert kinds(same, x) == [low] * 4
        assert kinds(same, x, enabled=False) == [single] * 4


def test_values_and_gradients_are_those_of_float32() -> None:
    layer, x = network()[1], torch.rand(2, 4, 8, 8)
    wanted = copy.deepcopy(layer)
    convolutions_in_float32(nn.Sequential(layer))
    with torch.autocast("cpu", torch.bfloat16):
        output = layer(x)
    for y in (output, wanted(x)):
        y.square().sum().backward()
    assert torch.equal(output, wanted(x))
    assert torch.equal(layer.weight.grad, wanted.weight.grad)  # type: ignore[arg-type]


def test_an_error_inside_leaves_autocast_as_it_was() -> None:
    net = network()
    convolutions_in_float32(net)
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(RuntimeError):
            net[1](torch.rand(2, 5, 8, 8))
        assert torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("size", [1, 2])
def test_a_strided_layer_has_the_gradient_of_float32_on_one_position(size: int) -> None:
    """With bfloat16 on AMX it was of memory that nothing wrote, here NaN."""
    x, layer = torch.rand(16, 8, size, size), nn.Conv2d(8, 16, 3, 2, 1)
    convolutions_in_float32(nn.Sequential(layer))
    wanted = conv2d_weight(x, layer.weight.shape, torch.ones(16, 16, 1, 1), 2, 1)
    for _ in range(20):
        written = [torch.full((count,), torch.nan) for count in (512, 4096, 40_000)]
        del written
        layer.weight.grad = None
        with torch.autocast("cpu", torch.bfloat16):
            layer(x).float().sum().backward()
        torch.testing.assert_close(layer.weight.grad, wanted, atol=0.05, rtol=0.02)
