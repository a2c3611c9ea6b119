"""dlib's face network: its shapes, its file, and whom it tells apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tlda.backbones import DlibFace
from tlda.backbones.dlib_face import renamed
from tlda.data import Faces
from tlda.errors import UserError
from tlda.metrics.pairs import fold_accuracies, pairs_of

WEIGHTS = Path(os.environ.get("TLDA_DATA") or "data") / "weights" / "dlib_face_resnet29.safetensors"


def test_it_has_29_convolutions_128_features_and_blocks_in_order() -> None:
    net = DlibFace(weights=None).eval()
    convolutions = [part for part in net.modules() if isinstance(part, torch.nn.Conv2d)]
    assert (len(convolutions), sum(parameter.numel() for parameter in net.parameters())) == (29, 5_614_592)
    assert net(torch.rand(1, 3, 150, 150)).shape == (1, 128)
    assert len(net.blocks()) == 16
    with pytest.raises(UserError, match="DlibFace takes images of 150 x 150"):
        net(torch.rand(1, 3, 112, 112))


def test_a_file_of_another_network_is_refused_by_the_first_name(tmp_path: Path) -> None:
    save_file({"conv32_down/conv/filters": torch.zeros(7, 7, 3, 32)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"does not fit this network: 'conv32_down.conv.bias' is missing"):
        DlibFace(weights=str(tmp_path / "other.safetensors"))
    with pytest.raises(UserError, match="there are no weights 'dlib'"):
        DlibFace(weights="dlib")


def test_names_and_axes_of_the_file_are_turned() -> None:
    filters, fc = torch.rand(3, 3, 4, 5), torch.rand(6, 7)
    found = renamed({"conv32_1/conv1/conv/filters": filters, "conv32_1/conv1/scale/biases": torch.ones(5), "fc": fc}, ())
    assert found["conv32_1.conv1.conv.weight"][2, 1, 0, 2] == filters[0, 2, 1, 2]
    assert found["fc.weight"][3, 1] == fc[1, 3]
    assert "conv32_1.conv1.scale.bias" in found


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs dlib's weights and the faces of TLDA_DATA")
def test_it_tells_people_of_orl_apart() -> None:
    data = Faces(root=str(WEIGHTS.parents[1]), not_found="skip", boxes=None)
    with pytest.warns(UserWarning, match="have no box"):
        rows = data.load()[0].train
    few = torch.arange(60)
    batch = rows[few]
    with torch.inference_mode():
        features = DlibFace(str(WEIGHTS)).eval()(batch.x.float() / 255)
    assert fold_accuracies(*pairs_of(features, batch.y, 3)).mean() > 0.95
