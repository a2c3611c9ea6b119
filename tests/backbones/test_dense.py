"""Feature maps as rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tlda.backbones import Dense
from tlda.backbones.decoders import DECODERS, AllMLP, Decoding, UNet
from tlda.errors import UserError
from tlda.inputs import as_maps


@pytest.mark.parametrize(("name", "stride"), [("resnet10t", 4), ("resnet10t", 8), ("convnext_atto", 2)])
def test_rows_are_the_positions_at_the_stride(name: str, stride: int) -> None:
    backbone = Dense(name, None, stride=stride, width=8).eval()
    x = torch.rand(2, 3, 32, 64)
    rows = backbone(x)
    assert rows.shape == (2 * (32 // stride) * (64 // stride), 8)
    assert torch.allclose(backbone(x[1:]), rows[len(rows) // 2 :], atol=1e-5)  # image by image
    assert as_maps(rows, x).shape == (2, 8, 32 // stride, 64 // stride)


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_parameter_has_a_gradient(decoder: Decoding) -> None:
    backbone = Dense("resnet10t", None, width=8, decoder=decoder)
    backbone(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


def test_checkpointing_changes_no_gradient() -> None:
    gradients, x = [], torch.rand(2, 3, 32, 32)
    for checkpointing in (None, True):
        torch.manual_seed(0)
        backbone = Dense("resnet10t", None, width=8, checkpointing=checkpointing).train()
        backbone(x).square().sum().backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_decoder_gives_one_map_of_the_finest_ones_size(decoder: Decoding) -> None:
    made = DECODERS[decoder]([6, 4, 2], 8).eval()
    maps = [torch.rand(2, d, 12 // f, 8 // f) for d, f in ((6, 1), (4, 2), (2, 4))]
    whole = made(maps)
    assert whole.shape == (2, 8, 12, 8)
    for level in range(3):  # it looks at each of them
        other = [m + (number == level) for number, m in enumerate(maps)]
        assert not torch.allclose(made(other), whole)
    assert torch.allclose(made([m[1:] for m in maps]), whole[1:], atol=1e-6)


def test_the_mlp_is_linear_layers_of_each_position() -> None:
    torch.manual_seed(0)
    made = AllMLP([3, 5], 4).eval()
    maps = [torch.rand(1, 3, 4, 4), torch.rand(1, 5, 4, 4)]
    fuse: Any = made.fuse
    linear, norm, _ = fuse
    layers: Any = made.project
    parts = [m[0, :, 1, 2] @ layer.weight[:, :, 0, 0].T + layer.bias for m, layer in zip(maps, layers, strict=True)]
    expected = (torch.cat(parts) @ linear.weight[:, :, 0, 0].T / (1 + norm.eps) ** 0.5).relu()
    torch.testing.assert_close(made(maps)[0, :, 1, 2], expected)


def test_a_skip_connection_is_laid_beside_what_comes_from_below() -> None:
    """The last step sees the finest map itself: a change of one position of it reaches the two convolutions' five by five alone."""
    made = UNet([2, 3], 4).eval()
    fine, coarse = torch.rand(1, 2, 16, 16), torch.rand(1, 3, 8, 8)
    other = fine.clone()
    other[..., 8, 8] += 1
    changed = (made([other, coarse]) != made([fine, coarse])).any(1)[0]
    assert changed[6:11, 6:11].any()
    changed[6:11, 6:11] = False
    assert not changed.any()


def test_an_unknown_decoder_is_refused() -> None:
    unknown: Any = "pyramid"
    with pytest.raises(UserError, match="Dense has no decoder 'pyramid': it has fpn, unet, mlp"):
        Dense("resnet10t", None, decoder=unknown)


def test_maps_are_line_by_line() -> None:
    x = torch.arange(2 * 4 * 6.0).view(2, 1, 4, 6)
    assert torch.equal(as_maps(x.permute(0, 2, 3, 1).flatten(0, 2), x), x)
    with pytest.raises(UserError, match="5 rows are no maps"):
        as_maps(torch.zeros(5, 1), x)


def test_a_size_that_is_no_multiple_of_the_stride_is_refused() -> None:
    with pytest.raises(UserError, match="30 x 32 have no whole number of positions at stride 4"):
        Dense("resnet10t", None, width=8)(torch.zeros(1, 3, 30, 32))
