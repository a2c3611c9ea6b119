"""torchvision's detectors on a network of positions: their losses and boxes, what they learn, and what they refuse."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any, get_args

import pytest
import torch
from pytorch_lightning import seed_everything
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from tests.helpers.boxed import NAMES, SIDE, Cells, Near
from tests.helpers.masked import TinyDense, setup
from tests.helpers.toy import Tiny, trainer
from tlda.errors import UserError
from tlda.inputs import as_maps
from tlda.losses import DomainAdversarial
from tlda.methods import Detector, SourceOnly
from tlda.network import Head
from tlda.nn.region_head import DetectorName, RegionHead
from tlda.optim import Adam
from tlda.tasks import Detection


class Own(nn.Module):
    """A network of torchvision's kind: its own maps, by number."""

    def __init__(self, layers: nn.Module, width: int) -> None:
        super().__init__()
        self.layers, self.out_channels = layers, width

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        maps = self.layers(x)
        return OrderedDict([("0", maps), ("1", maps[..., ::2, ::2]), ("2", maps[..., ::4, ::4])])


@pytest.mark.parametrize("detector", get_args(DetectorName))
def test_losses_and_boxes_are_those_of_torchvisions_model_with_a_network_of_its_own(detector: DetectorName) -> None:
    seed_everything(0, verbose=False)
    layers, x = nn.Conv2d(3, 32, 2, 2), torch.rand(2, 3, SIDE, SIDE)
    y = torch.tensor([[[0, 1, 2, 9, 8], [1, 8, 4, 15, 15]], [[1, 0, 0, 6, 5], [-1, -1, -1, -1, -1]]]).float()
    head = RegionHead(detector, 32, 2, 2, 10)
    maps, model = layers(x), copy.deepcopy(head.model)
    torch.manual_seed(1)  # some of the anchors are drawn
    ours = head.losses(maps, x, y)
    (gradient,) = torch.autograd.grad(sum(ours.values(), x.new_zeros(())), layers.weight)
    found = head.eval()(maps.permute(0, 2, 3, 1).flatten(0, 2), x, maps)
    model.backbone = Own(layers, 32)
    model.transform = GeneralizedRCNNTransform(SIDE, SIDE, [0.0] * 3, [1.0] * 3, size_divisible=1, fixed_size=(SIDE, SIDE))
    targets = [{"labels": boxes[:, 0].long() + 1, "boxes": boxes[:, 1:]} for boxes in (y[0], y[1, :1])]
    torch.manual_seed(1)
    theirs = model(list(x), targets)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.isclose(ours[name], value, rtol=1e-5), name
    (expected,) = torch.autograd.grad(sum(theirs.values(), x.new_zeros(())), layers.weight)
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    for each, one in zip(found, model.eval()(list(x)), strict=True):
        count = len(one["boxes"])
        assert torch.equal(each[:count, 0], one["labels"].float() - 1)
        assert torch.allclose(each[:count, 1], one["scores"])
        assert torch.allclose(each[:count, 2:], one["boxes"], atol=1e-4)
        assert not each[count:].any()
        assert (each[:, 1].diff() <= 0).all()


def test_a_detector_learns_boxes() -> None:
    seed_everything(0, verbose=False)
    data, run, found = Cells(8, steps=15, stride=None), trainer(1, limit_val_batches=0), []
    method = Detector(backbone=Near(32), task=data.task, detector="fcos", optimizer=Adam(0.005))
    for trained in (False, True):
        if trained:
            run.fit(method, data)
        run.test(method, data, verbose=False)
        found.append(float(run.callback_metrics["test/target/ap50"]))
    assert found[0] < 0.1
    assert found[1] > 0.5


def test_a_loss_of_domains_sees_the_positions_of_the_map() -> None:
    data = Cells(stride=None, steps=1)
    method = Detector(backbone=TinyDense(8), task=data.task, detector="ssdlite", plus=[DomainAdversarial(hidden=4)])
    seen: list[tuple[int, ...]] = []
    (loss,) = method.losses.values()
    loss.register_forward_pre_hook(lambda module, given: seen.extend(tuple(output.features.shape) for output in given[1:3]))
    trainer(1, limit_val_batches=0).fit(method, data)
    assert seen == [(4 * 8 * 8, 8)] * 2


def test_a_batch_of_boxes_has_a_row_per_image() -> None:
    data: Any = setup(Cells(stride=None))
    batch = data.as_trained(data.training_rows()["source"][torch.arange(4)])
    assert batch.y.shape == (4, 2, 5)
    assert batch.row.shape == (4,)


def test_what_does_not_fit_is_a_sentence() -> None:
    with pytest.raises(UserError, match="Detector finds boxes on maps, and Classification has none: give it data such as Boxes, and Dense"):
        Detector(backbone=Tiny(), task=3)
    with pytest.raises(UserError, match="Detector finds boxes on maps, and Tiny has none"):
        Detector(backbone=Tiny(), task=Detection(NAMES))
    for detector in ("fcos", "retinanet"):
        with pytest.raises(UserError, match=f"{detector} has groups of 32 features, and the network 16"):
            Detector(backbone=TinyDense(16), task=Detection(NAMES), detector=detector)
    positions, images = Cells(), Cells(stride=None)
    with pytest.raises(UserError, match=r"Detector learns boxes, and the labels are of positions: give --data.stride null"):
        trainer(1).fit(Detector(backbone=TinyDense(16), task=positions.task, detector="ssdlite"), positions)
    with pytest.raises(UserError, match=r"give --model.backbone Dense, and its stride as --data.stride"):
        trainer(1, limit_val_batches=0).fit(SourceOnly(backbone=TinyDense(16), task=images.task), images)
    with pytest.raises(UserError, match=r"--model.head makes the last layers, and this method makes its own"):
        Detector(backbone=TinyDense(32), task=Detection(NAMES), head=Head(hidden=4))


def test_maps_are_those_of_the_features() -> None:
    data = Cells(stride=None)
    method = Detector(backbone=TinyDense(32), task=data.task).eval()
    x = torch.rand(2, 3, SIDE, SIDE)
    output = method(x)
    assert torch.equal(output.logits, method.head(output.features, x, as_maps(output.features, x)))
    assert output.logits.shape == (2, 100, 6)
    assert torch.equal(data.task.boxes(output.logits, x), output.logits)  # type: ignore[attr-defined]
