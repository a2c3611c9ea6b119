"""Boxes of classes: loss, metrics, methods that fit and those that do not, answers, and runs that go on."""

from __future__ import annotations

import contextlib
import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

from tests.helpers.boxed import NAMES, SIDE, Cells, write_boxes
from tests.helpers.masked import TinyDense, mirrored, setup
from tests.helpers.saves import Saves
from tests.helpers.toy import Tiny, trainer
from tlda.backbones import Backbone
from tlda.batch import Output, Sample
from tlda.data import FDA, Boxes, ColourTransfer, RandomHorizontalFlip
from tlda.data.box_layouts import read_boxes
from tlda.errors import UserError, subclasses
from tlda.method import Method
from tlda.methods import DAN, DANN, AdaBN, Oracle, SourceOnly
from tlda.nn.center_net import focal, targets
from tlda.optim import Adam
from tlda.report.pictures import Pictures
from tlda.tasks import Detection
from tlda.tasks.measures import Measures
from tlda.tasks.place import SOURCE_AND_TARGET
from tlda.training.averaging import SWAD
from tlda.training.checkpoint import task_from
from tlda.training.predictions import write_coco, write_predictions
from tlda.training.target import source_risk

TASK = Detection(NAMES)


class Wide(Backbone):
    """Rows of positions at stride 2, each of which sees 9 x 9 of them."""

    channels, size, stride = 3, SIDE, 2

    def __init__(self, width: int = 16) -> None:
        super().__init__(width)
        layers = [nn.Conv2d(3, width, 2, 2), nn.ReLU()]
        for _ in range(2):
            layers += [nn.Conv2d(width, width, 5, padding=2), nn.BatchNorm2d(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def features(self, x: Tensor) -> Tensor:
        rows: Tensor = self.layers(x).permute(0, 2, 3, 1).flatten(0, 2)
        return rows


def made(method: type[Method] = SourceOnly, **options: Any) -> Method:
    seed_everything(0, verbose=False)
    return method(backbone=TinyDense(), task=Detection(NAMES, max_rows=16), **options)


def test_the_loss_is_the_papers() -> None:
    torch.manual_seed(0)
    boxes = torch.tensor([[[0, 1, 1, 7, 6], [1, 8, 8, 15, 14]], [[0, 3, 5, 9, 11], [-1] * 5]]).float()
    y, logits = targets(boxes, (8, 8), 2, 2), torch.randn(128, 6)
    at = y[:, -1] == 1
    off = (logits[at, 2:] - y[at, 2:6]).abs()
    expected = (focal(logits[:, :2], y[:, :2]).sum() + 0.1 * off[:, :2].sum() + off[:, 2:].sum()) / 3
    assert torch.isclose(TASK.loss(logits, y), expected)
    assert torch.isclose(TASK.risk(logits, y).sum() / 3, expected)
    (gradient,) = torch.autograd.grad(TASK.loss(logits.requires_grad_(), y), logits)
    assert torch.allclose(gradient[at, 2:], (logits[at, 2:] - y[at, 2:6]).sign() * torch.tensor([0.1, 0.1, 1.0, 1.0]) / 3)
    assert not gradient[~at, 2:].any()
    assert TASK.loss(logits, targets(boxes[:, :0], (8, 8), 2, 2)).isfinite()


def test_a_network_starts_with_low_scores() -> None:
    method = made()
    assert float(method.eval()(torch.rand(2, 3, SIDE, SIDE)).logits[:, :2].sigmoid().mean()) < 0.2


def test_metrics_are_of_boxes_and_leave_out_what_nobody_labelled() -> None:
    boxes = torch.tensor([[[0, 1, 1, 7, 6], [1, 8, 8, 15, 14]], [[0, 3, 5, 9, 11], [-1] * 5]]).float()
    logits = targets(boxes, (8, 8), 2, 2)[:, :-1].clone()
    logits[:, :2] = 20 * logits[:, :2] - 10
    boxes[1] = torch.nan
    measures, batch = Measures(TASK, SOURCE_AND_TARGET), Sample(torch.zeros(2, 3, SIDE, SIDE), boxes, torch.arange(2))
    found = measures.test(made(), batch, Output(torch.zeros(128, 8), logits), 1)
    assert {name.removeprefix("test/target/") for name in found} == {
        "ap50",
        "ap50_95",
        *(f"{m}_{c}" for m in ("ap50", "ap50_95") for c in NAMES),
    }
    assert all(float(metric.compute()) == 1 for metric in found.values())  # the boxes that are found in the other image count nowhere


@pytest.mark.parametrize("backbone", [Tiny(), TinyDense()])
def test_a_network_of_other_positions_is_refused(backbone: Backbone) -> None:
    with pytest.raises(UserError, match=r"give --model.backbone Dense, and its stride as --data.stride"):
        TASK.loss(torch.zeros(4, 6), torch.zeros(16, 7))


def test_a_task_is_made_again_and_bad_options_have_a_sentence() -> None:
    assert task_from(TASK.description()).description() == TASK.description()
    with pytest.raises(UserError, match="a detection has 0 classes and at most 100 boxes: both are 1 or more"):
        Detection([])


def test_a_flipped_image_has_flipped_boxes() -> None:
    torch.manual_seed(0)
    method: Any = SourceOnly(backbone=mirrored(TinyDense()), task=TASK).eval()
    method.head.weight.data[4], method.head.bias.data[2:5] = 0.0, torch.tensor([2.0, 3.0, 0.5])  # centres in the middle of a position
    x = torch.rand(2, 3, SIDE, SIDE)
    found, flipped = (TASK.boxes(method(image).logits, image)[:, :5] for image in (x, x.flip(3)))
    expected = torch.stack((*found[..., :2].unbind(2), SIDE - found[..., 4], found[..., 3], SIDE - found[..., 2], found[..., 5]), 2)
    assert (found[..., 1] > 0).all()
    torch.testing.assert_close(flipped, expected)


# Methods


@pytest.mark.slow
def test_the_source_is_learnt() -> None:
    data, run = Cells(steps=120, eval_batch_size=16), trainer(1, limit_val_batches=0)
    seed_everything(0, verbose=False)
    run.fit(method := SourceOnly(backbone=Wide(), task=data.task, optimizer=Adam(lr=0.01)), data)
    (source, _) = run.test(method, data, verbose=False)
    assert source["test/source/ap50"] > 0.8


@pytest.mark.parametrize("method", [SourceOnly, AdaBN, DANN, DAN, Oracle])
def test_methods_that_read_no_classes_learn_boxes(method: type[Method]) -> None:
    data, run = Cells(steps=2, max_rows=16, augment=[RandomHorizontalFlip()]), trainer(1, limit_val_batches=1)
    run.fit(learner := made(method), data)
    (source, target) = run.test(learner, data, verbose=False)
    assert 0 <= source["test/source/ap50"] <= 1
    assert "test/target/ap50_95_blob" in target


def test_an_average_watches_the_risk_of_positions() -> None:
    method = made(average=SWAD())
    trainer(1, limit_val_batches=1).fit(method, Cells(steps=2))
    assert source_risk(method) > 0


@pytest.mark.parametrize("change", [FDA(0.1), ColourTransfer()])
def test_recolouring_leaves_boxes_alone(change: Any) -> None:
    data = setup(Cells(steps=1, augment=[change]))
    trainer(1, limit_val_batches=0).fit(made(DANN), data)


def test_what_reads_classes_or_whole_images_is_refused_in_one_sentence() -> None:
    """No method takes the logits of boxes for those of classes without a word."""
    fits = set()
    classes: dict[str, Any] = subclasses(Method)
    for name, cls in classes.items():
        if not cls.__module__.startswith("tlda.methods") or cls.several_sources or "pretraining" in cls.__module__:
            continue
        with contextlib.suppress(UserError):
            made(cls)
            fits.add(name)
    print(sorted(fits))
    assert {"SourceOnly", "AdaBN", "DANN", "Oracle"} <= fits
    assert not {"MCC", "MinEnt", "CDAN", "TENT", "FixMatch", "SHOT", "DACS", "AdvEnt"} & fits


def outcome(method: type[Method], turn: int) -> tuple[dict[str, Tensor], Tensor]:
    class Told(Cells):
        def load(self) -> Any:
            source, target = super().load()
            target.train.boxes = target.train.boxes.roll(turn, 0)  # type: ignore[attr-defined]
            return source, target

    run, learner = trainer(1, limit_val_batches=0, log_every_n_steps=1), made(method)
    run.fit(learner, Told(steps=2, seed=0))
    return learner.state_dict(), run.callback_metrics["train/loss"]


def test_boxes_of_the_target_move_no_unsupervised_method_and_move_the_oracle() -> None:
    for method, moves in ((DANN, False), (AdaBN, False), (Oracle, True)):
        (first, loss), (second, other) = (outcome(method, turn) for turn in (0, 1))
        same = all(torch.equal(value, second[name]) for name, value in first.items() if not name.startswith("measures"))
        assert (same and bool(loss == other)) is not moves


def test_a_fit_ends_with_a_picture_of_boxes(tmp_path: Path) -> None:
    trainer(1, limit_val_batches=0, callbacks=[Pictures(tmp_path)]).fit(made(), Cells(steps=1))
    assert (tmp_path / "detection.png").is_file()


def test_a_run_goes_on_exactly(tmp_path: Path) -> None:
    data: dict[str, Any] = {"steps": 2, "seed": 0, "augment": [RandomHorizontalFlip()]}
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    callbacks = [keep, Saves(tmp_path, 3)]
    trainer(2, enable_checkpointing=True, callbacks=callbacks, limit_val_batches=1).fit(whole := made(DANN), Cells(**data))
    for checkpoint in ("epoch=0.ckpt", "after-3.ckpt"):
        rest = made(DANN)
        torch.manual_seed(12345)  # whatever happened in between must not matter
        trainer(2, limit_val_batches=1).fit(rest, Cells(**data), ckpt_path=tmp_path / checkpoint, weights_only=True)
        for (name, a), b in zip(whole.state_dict().items(), rest.state_dict().values(), strict=True):
            assert torch.equal(a, b), name


def test_a_step_in_bfloat16_has_the_loss_and_the_metrics_of_float32() -> None:
    data, method = setup(Cells()), made()
    batch: Any = data.as_trained(data.training_rows()["source"][torch.arange(4)])
    logits = method(batch.x).logits.bfloat16()
    loss = method.task.loss(logits, batch.y)
    assert loss.dtype == torch.float32
    assert torch.isclose(loss, method.task.loss(logits.float(), batch.y))
    assert data.task.boxes(logits, batch.x).dtype == torch.float32  # type: ignore[attr-defined]


# Answers


def test_predictions_are_boxes_and_cocos_json_is_read_again(tmp_path: Path) -> None:
    write_boxes(tmp_path, "coco")
    data: Any = Boxes(str(tmp_path), size=[8, 32], stride=2, batch_size=2)
    run, method = trainer(1), made()
    nn.init.constant_(method.head.bias[2:], 2.0)
    parts: Any = run.predict(method, data)
    rows, answers = [int(row) for part in parts for row in part.row], [boxes for part in parts for boxes in part.answers["boxes"]]
    best = answers[0][0]
    x = data.prepare(data.loaded[1].train[torch.tensor(rows[:1])]).x
    found = data.task.boxes(method.eval()(x).logits, x)[0, 0]
    assert best.name == data.task.names[int(found[0])]
    assert torch.allclose(
        torch.tensor(best[2:]), torch.stack((found[2] / 32, found[3] / 8, (found[4] - found[2]) / 32, (found[5] - found[3]) / 8))
    )
    columns = {"file": [data.describe_row(row) for row in rows], "boxes": answers}
    (again := tmp_path / "again" / "target").mkdir(parents=True)
    write_coco(again / "found.json", columns, data.task.outputs)
    written = json.loads((again / "found.json").read_text())
    assert [one["name"] for one in written["categories"]] == NAMES
    assert written["annotations"][0]["bbox"] == pytest.approx([SIDE * share for share in best[2:]])
    assert written["annotations"][0]["score"] == pytest.approx(best.score)
    for path in columns["file"]:
        Image.open(path).save(again / Path(path).name)
    (again / "found.json").write_text((again / "found.json").read_text().replace(f"{Path(columns['file'][0]).parent}/", ""))
    read = read_boxes(again, None, [], False, tmp_path)
    assert read.names == NAMES
    assert [len(one.boxes or ()) for one in read.images] == [len(boxes) for boxes in answers]
    write_predictions(tmp_path / "found.csv", columns)
    line = next(csv.DictReader((tmp_path / "found.csv").open()))
    assert json.loads(line["boxes"])[0][0] == best.name
    with pytest.raises(UserError, match="JSON is written of boxes alone"):
        write_coco(tmp_path / "a.json", {"file": []}, [])


def test_boxes_that_overlap_are_left_out_where_nms_is_asked_for() -> None:
    maps = torch.zeros(1, 5, 4, 8)
    maps[:, 0] = -9
    maps[0, 0, 1, 1], maps[0, 0, 1, 3], maps[0, 0, 3, 7] = 3, 2, 1  # two peaks that are two positions apart, and one far away
    maps[:, 1:3] = 6
    rows, x = maps.permute(0, 2, 3, 1).flatten(0, 2), torch.zeros(1, 3, 8, 16)
    plain, sparse = (Detection(["cell"], most=3, nms=nms).boxes(rows, x)[0] for nms in (None, 0.4))
    assert (plain[:, 1] > 0.5).tolist() == [True, True, True]
    assert torch.equal(sparse[:2], plain[[0, 2]])
    assert not sparse[2].any()
    for wrong in (0.0, 1.0):
        with pytest.raises(UserError, match=rf"--data.nms is {wrong}: it is an intersection over union, above 0 and below 1"):
            Detection(["cell"], nms=wrong)
