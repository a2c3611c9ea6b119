"""Feature maps as rows."""

from __future__ import annotations

import pytest
import torch

from tlda.backbones import Dense
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


def test_every_parameter_has_a_gradient() -> None:
    backbone = Dense("resnet10t", None, width=8)
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


def test_maps_are_line_by_line() -> None:
    x = torch.arange(2 * 4 * 6.0).view(2, 1, 4, 6)
    assert torch.equal(as_maps(x.permute(0, 2, 3, 1).flatten(0, 2), x), x)
    with pytest.raises(UserError, match="5 rows are no maps"):
        as_maps(torch.zeros(5, 1), x)


def test_a_size_that_is_no_multiple_of_the_stride_is_refused() -> None:
    with pytest.raises(UserError, match="30 x 32 have no whole number of positions at stride 4"):
        Dense("resnet10t", None, width=8)(torch.zeros(1, 3, 30, 32))
