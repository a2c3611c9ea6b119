"""Networks of segmentation_models_pytorch as rows of positions."""

from __future__ import annotations

import pytest
import torch

from tlda.backbones import SegmentationModels
from tlda.errors import UserError

pytest.importorskip("segmentation_models_pytorch")


@pytest.mark.parametrize(("name", "stride", "width"), [("unet", 4, 16), ("fpn", 8, 128)])
def test_rows_are_the_positions_at_the_stride(name: str, stride: int, width: int) -> None:
    backbone = SegmentationModels(name, "tu-resnet10t", None, stride=stride).eval()
    x = torch.rand(2, 3, 32, 64)
    rows = backbone(x)
    assert backbone.num_features == width
    assert rows.shape == (2 * (32 // stride) * (64 // stride), width)
    assert torch.allclose(backbone(x[1:]), rows[len(rows) // 2 :], atol=1e-5)  # image by image
    normalised = x.sub(backbone.mean).div(backbone.std)
    maps = torch.nn.functional.interpolate(backbone.model(normalised), (32 // stride, 64 // stride), mode="bilinear")
    torch.testing.assert_close(rows[: len(rows) // 2], maps[0].flatten(1).T)


def test_what_it_does_not_have_or_take_is_one_sentence() -> None:
    with pytest.raises(UserError, match="has no network 'unet9'"):
        SegmentationModels("unet9")
    with pytest.raises(UserError, match="cannot make 'unet' on the encoder 'resnet1' with weights None"):
        SegmentationModels("unet", "resnet1", None)
    with pytest.raises(UserError, match="takes no images of 36 x 32: Wrong input shape"):
        SegmentationModels("fpn", "resnet18", None)(torch.zeros(1, 3, 36, 32))
