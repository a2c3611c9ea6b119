"""The mean teacher for boxes: what it labels, when it begins, its terms by hand, and that it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers.boxed import NAMES, Cells
from tests.helpers.masked import TinyDense, setup
from tests.helpers.toy import Tiny
from tlda.batch import Pair
from tlda.data.augment import Cutout
from tlda.errors import UserError
from tlda.methods import BoxTeacher
from tlda.nn.center_net import at_least, decoded, targets
from tlda.tasks import Detection


def batch_of(n: int = 4) -> Any:
    data, rows = setup(Cells()), torch.arange(n)
    return data.augmented(Pair(*(data.training_rows()[field][rows] for field in Pair._fields)))


def made(**options: Any) -> Any:
    torch.manual_seed(0)
    method = BoxTeacher(backbone=TinyDense(), task=Detection(NAMES), **options)
    heads: Any = method.network.head, method.teacher.copy
    for bias in (heads[0].bias, heads[1][2].bias):
        nn.init.constant_(bias[2:4], 2.0)  # boxes of an area from the start
    return method


def test_found_boxes_of_a_score_are_labels_and_others_are_no_boxes() -> None:
    """Labels of boxes, drawn on maps, found there and drawn again are the same maps."""
    boxes = torch.tensor([[[0, 1, 1, 7, 7], [1, 8, 8, 14, 14]], [[0, 3, 5, 9, 11], [-1] * 5]]).float()
    wanted = targets(boxes, (8, 8), 2, 2)
    maps = torch.cat((20 * wanted[:, :2] - 10, wanted[:, 2:6]), 1).view(2, 8, 8, 6).permute(0, 3, 1, 2)
    found = decoded(maps, 2, 5)
    assert torch.allclose(targets(at_least(0.9, found), (8, 8), 2, 2), wanted, atol=1e-5)
    assert (at_least(1.1, found)[..., 0] == -1).all()
    assert (at_least(0.0, torch.zeros(1, 2, 6))[..., 0] == -1).all()  # a box without area has no score


def test_the_usual_strong_view_keeps_every_box_in_its_place_and_changes_most_images() -> None:
    strong, x = made().strong, torch.rand(64, 3, 16, 16)
    assert all(change.moves is False for change in strong)
    assert strong(x).shape == x.shape
    assert (strong(x) == x).flatten(1).all(1).float().mean() < 0.2


def test_the_burn_in_learns_the_source_alone_and_then_found_boxes_in_the_strong_view(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, method = batch_of(), made(trade_off=0.5, threshold=0.05, strong=[Cutout(0.5)])
    monkeypatch.setattr(method, "total", lambda terms: terms)
    method.progress = 0.49
    assert {*method.training_step(batch, 0)} == {"task"}
    method.progress = 0.5
    torch.manual_seed(1)
    terms = method.training_step(batch, 0)
    torch.manual_seed(1)
    strong = Cutout(0.5)(batch.target.x)
    assert not torch.equal(strong, batch.target.x)
    assert {*terms} == {"task", "found"}
    learnt = targets(at_least(0.05, method.task.boxes(method.teacher(batch.target.x), batch.target.x)), (8, 8), 2, 2)
    assert learnt[:, -1].sum() > 0
    torch.testing.assert_close(terms["found"], 0.5 * method.task.loss(method(strong).logits, learnt))
    torch.testing.assert_close(terms["task"], method.task.loss(method(batch.source.x).logits, batch.source.y))


def test_where_nothing_is_found_the_target_is_background() -> None:
    method = made(threshold=1.0)
    assert not method.found(batch_of().target.x).any()


def test_a_task_without_boxes_is_refused() -> None:
    with pytest.raises(UserError, match="BoxTeacher learns boxes that it finds, and Classification has none: give it data such as Boxes"):
        BoxTeacher(backbone=Tiny(), task=3)
