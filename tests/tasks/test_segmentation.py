"""One class per pixel: loss, metrics, what validators see, and answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy, interpolate

import tlda.methods
from tests.helpers.boxed import Near
from tests.helpers.masked import NAMES, Scenes, TinyDense, mirrored, setup, write_masks
from tests.helpers.toy import Tiny, trainer
from tests.tasks.test_detection import Wide
from tlda.backbones import Backbone
from tlda.batch import Output, Pair, Sample
from tlda.data import Cutout, Masks, RandomHorizontalFlip
from tlda.errors import UserError
from tlda.inputs import drawn
from tlda.losses import MMD, DeepJDOT
from tlda.methods import CDAN, DAN, DANN, MCC, FixMatch, SourceOnly
from tlda.network import Network
from tlda.report.maps import segmentation_figure
from tlda.tasks import Segmentation
from tlda.tasks.measures import Measures
from tlda.tasks.place import SOURCE_AND_TARGET
from tlda.training.predictions import write_predictions

TASK = Segmentation(["a", "b", "c"])


def test_void_changes_nothing() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(8, 3, requires_grad=True), torch.tensor([0, 1, 2, -1, 1, -1, 0, 2])
    known = y >= 0
    loss = TASK.loss(logits, y)
    assert torch.isclose(loss, cross_entropy(logits[known], y[known]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[~known].any()
    assert gradient[known].any(1).all()


def measured(y: torch.Tensor, logits: torch.Tensor) -> dict[str, float]:
    measures = Measures(TASK, SOURCE_AND_TARGET)
    batch = Sample(torch.zeros(2, 3, 4, 4), y, torch.arange(2))
    network = SourceOnly(backbone=TinyDense(), task=TASK)
    found = measures.test(network, batch, Output(torch.zeros(8, 5), logits), 1)
    return {name: float(metric.compute()) for name, metric in found.items()}


def test_metrics_are_of_all_pixels_of_upsampled_logits_without_void() -> None:
    torch.manual_seed(0)
    logits, y = torch.randn(8, 3), torch.randint(-1, 3, (2, 4, 4))
    predicted = interpolate(logits.view(2, 2, 2, 3).permute(0, 3, 1, 2), (4, 4), mode="bilinear").argmax(1)
    known = y >= 0
    overlaps = [((predicted == c) & (y == c)).sum() / (known & ((predicted == c) | (y == c))).sum() for c in range(3)]
    found = measured(y, logits)
    assert math.isclose(found["test/target/mean_iou"], float(torch.stack(overlaps).mean()), rel_tol=1e-5)
    assert math.isclose(found["test/target/accuracy"], float((predicted == y)[known].float().mean()), rel_tol=1e-5)
    assert "test/target/dice" not in found
    assert "dice" in Segmentation(NAMES).metrics(SOURCE_AND_TARGET[1])


def test_validators_see_few_positions_with_the_pixels_in_their_middle() -> None:
    y = torch.arange(2 * 32 * 32).view(2, 32, 32)
    x, features = (
        torch.zeros(2, 3, 32, 32),
        y[:, 1::2, 1::2].flatten()[:, None].float(),
    )  # stride 2: each feature is the number of its pixel
    (view,) = TASK.views(torch.nn.Identity(), Output(features, torch.zeros(512, 3)), Sample(x, y, torch.arange(2)), SOURCE_AND_TARGET[1])
    assert view[1].logits.shape == (2048, 3)
    output, batch = TASK.sampled(*view[1:])
    assert len(batch.y) == len(output.logits) == 128
    assert torch.equal(output.features.flatten().long(), batch.y)


def test_a_loss_of_all_pairs_sees_few_rows_of_each_domain_with_their_labels() -> None:
    data = setup(Scenes())
    rows = torch.arange(4)
    batch: Any = data.augmented(Pair(*(data.training_rows()[field][rows] for field in Pair._fields)))
    outputs: Any = [Output(torch.arange(64.0)[:, None], part.row[:, None].float()) for part in batch]
    torch.manual_seed(0)
    thinned: Any
    thinned, source, target = drawn(batch, outputs[0], outputs[1], 16)
    chosen = source.features.flatten().long()
    assert torch.equal(chosen // 4, torch.arange(16))  # one of each four
    assert torch.equal(thinned.source.y, batch.source.y[chosen])
    assert torch.equal(target.logits.flatten().long(), thinned.target.row)
    assert thinned.source.x is batch.source.x
    loss = MMD()
    loss.max_rows = 16
    torch.manual_seed(0)
    few = loss.term(batch, outputs[0], outputs[1], 0.5)
    assert few == MMD()(thinned, source, target, 0.5) != MMD()(batch, outputs[0], outputs[1], 0.5)


@pytest.mark.parametrize("method", [DANN, CDAN, MCC, DAN])
def test_methods_of_rows_train_on_positions(method: type) -> None:
    data, run = Scenes(max_rows=16), trainer(1, limit_val_batches=1)
    made = method(backbone=TinyDense(), task=data.task, plus=[DeepJDOT()])
    run.fit(made, data)
    assert run.callback_metrics["val/target/entropy"].isfinite()
    (source, target) = run.test(made, data, verbose=False)
    assert 0 < source["test/source/mean_iou"] < 1
    assert 0 <= target["test/target/dice"] <= 1


@pytest.mark.parametrize("name", ["AaD", "ATDOC", "DANCE", "ImportanceWeighting", "LAME", "MEMO", "NRC", "SimCLR"])
def test_a_method_of_whole_images_is_refused_where_a_row_is_a_position(name: str) -> None:
    method = getattr(tlda.methods, name)
    with pytest.raises(UserError, match=f"{name} {method.whole_inputs}, and each position of an image is a row here"):
        method(backbone=TinyDense(), task=TASK)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("FixMatch", {}, r"by RandAugment, which does not say whether it moves what is in them.*--model.strong \[Cutout\]"),
        ("FixMatch", {"strong": [Cutout(), RandomHorizontalFlip()]}, "by RandomHorizontalFlip, which moves what is in them"),
        ("CoTTA", {}, r"by RandomAffine, which moves what is in them.*--model.views \[Cutout\]"),
    ],
)
def test_a_view_that_moves_positions_away_from_their_classes_is_refused(name: str, options: dict[str, Any], sentence: str) -> None:
    data = Scenes()
    method = getattr(tlda.methods, name)(backbone=TinyDense(), task=data.task, **options)
    with pytest.raises(UserError, match=sentence):
        trainer(1).fit(method, data)


def test_fix_match_trains_on_views_that_move_nothing() -> None:
    data, run = Scenes(steps=1), trainer(1, limit_val_batches=0, log_every_n_steps=1)
    run.fit(FixMatch(backbone=TinyDense(), task=data.task, strong=[Cutout()], threshold=0.0), data)
    assert run.callback_metrics["train/consistency"] > 0


@pytest.mark.parametrize("backbone", [Tiny(), TinyDense()])
def test_a_network_of_other_positions_is_refused(backbone: Backbone) -> None:
    with pytest.raises(UserError, match=r"give --model.backbone Dense, and its stride as --data.stride"):
        TASK.loss(torch.zeros(4, 3), torch.zeros(16, dtype=torch.long))


def test_predictions_are_a_map_per_image(tmp_path: Path) -> None:
    data, run = Scenes(), trainer(1)
    method = SourceOnly(backbone=TinyDense(), task=data.task)
    parts: Any = run.predict(method, data)
    answers, x = parts[0].answers, data.prepare(data.loaded[1].train[parts[0].row]).x
    expected = data.task.pixels(method.eval()(x).logits, x).argmax(1)  # type: ignore[attr-defined]
    assert (np.stack(answers["mask"]) == expected.numpy()).all()
    assert parts[0].features.shape == (len(x), 8)
    assert math.isclose(answers["share_sky"][3], float(expected[3].float().mean()), rel_tol=1e-6)
    write_predictions(tmp_path / "answers.csv", {"file": ["x/a.jpg", "y/a.jpg"], "mask": answers["mask"][:2]})
    assert (tmp_path / "answers.csv").read_text().splitlines() == [
        "file,mask",
        "x/a.jpg,answers_mask/0-a.png",
        "y/a.jpg,answers_mask/1-a.png",
    ]
    assert (np.array(Image.open(tmp_path / "answers_mask" / "1-a.png")) == answers["mask"][1]).all()


def test_a_predicted_mask_has_the_size_of_its_image(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "wide.png")
    answers: Any = {"file": [str(tmp_path / "wide.png")], "mask": [np.array([[0, 1, 2], [3, 4, 5]], np.uint8)]}
    write_predictions(tmp_path / "answers.csv", answers)
    written = np.array(Image.open(tmp_path / "answers_mask" / "wide.png"))
    assert (written == answers["mask"][0].repeat(2, 0).repeat(2, 1)).all()


def test_a_flipped_image_has_a_flipped_mask() -> None:
    torch.manual_seed(0)
    task: Any = Scenes().task
    method, x = SourceOnly(backbone=mirrored(TinyDense()), task=task).eval(), torch.rand(3, 3, 8, 8)
    masks, flipped = (np.stack(task.answers(method(image), image)["mask"]) for image in (x, x.flip(3)))
    assert (masks[..., ::-1] == flipped).all()
    assert (masks != flipped).any()


# Windows


def network_of(backbone: Backbone, window: Sequence[int] | None) -> Network:
    """A network without chance whose answers depend on the place, with positions that see their neighbours."""
    torch.manual_seed(0)
    return Network(backbone, Segmentation(["a", "b", "c"], window=window)).eval()


@pytest.mark.parametrize("size", [(16, 16), (40, 16), (22, 58), (16, 18)])
def test_windows_give_the_output_of_the_whole_image_where_a_position_sees_a_quarter_of_one(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    for backbone, fits in ((Near(), True), (Wide(), size == (16, 16))):  # 16 pixels are 8 positions: a quarter is 2, and Wide sees 4
        network = network_of(backbone, (16, 16))
        found, whole = network(x), network.whole(x)
        for part, expected in zip(found, whole, strict=True):
            assert part.shape == expected.shape
            assert torch.allclose(part, expected, atol=1e-5) is fits


def test_a_window_larger_than_the_image_is_the_image_and_a_network_sees_no_more_than_a_window() -> None:
    network, seen = network_of(TinyDense(), (8, 12)), []
    network.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape[2:])))
    network(torch.randn(1, 3, 8, 8))
    assert seen == [(8, 8)]
    network(torch.randn(1, 3, 20, 10))
    assert {*seen} == {(8, 8), (8, 10)}
    assert len(seen) == 1 + 4  # of 10 lines of positions, windows of 4 begin at 0, 2, 4 and 6


def test_images_of_their_own_sizes_are_measured_by_windows_as_one_set(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sizes = {"train": [(8, 8)] * 4, "test": [(13, 20), (8, 8), (21, 9)]}
    for domain in ("source", "target"):
        for part, each in sizes.items():
            for kind in ("images", "masks"):
                (tmp_path / domain / part / kind).mkdir(parents=True)
            for number, size in enumerate(each):
                Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / domain / part / f"images/{number}.png")
                Image.fromarray(random.integers(0, 2, size, dtype=np.uint8)).save(tmp_path / domain / part / f"masks/{number}.png")

    def data_of(**options: Any) -> Masks:
        return Masks(str(tmp_path), classes=[*NAMES], size=8, stride=2, batch_size=2, steps=1, eval_size="own", **options)

    data, run = data_of(eval_batch_size=1), trainer(1)
    method = SourceOnly(backbone=TinyDense(), task=data.task)
    run.fit(method, data)
    run.test(method, data, verbose=False)
    measured = float(run.callback_metrics["test/target/mean_iou"])
    pairs = []
    for row in range(3):
        sample = data.prepare(data.loaded[1].test[torch.tensor([row])])  # type: ignore[index]
        logits = method.network.eval().whole(sample.x).logits  # a position sees itself alone, so windows change nothing
        pairs.append((data.task.pixels(logits, sample.x).argmax(1).flatten(), sample.y.flatten()))  # type: ignore[attr-defined]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    assert len(y) == 12 * 20 + 8 * 8 + 20 * 8
    overlaps = [((predicted == c) & (y == c)).sum() / ((predicted == c) | (y == c)).sum() for c in (0, 1)]
    assert math.isclose(measured, float(torch.stack(overlaps).mean()), rel_tol=1e-5)
    answers: Any = run.predict(method, data)
    assert {int(each.row): each.answers["mask"][0].shape for each in answers} == {0: (12, 20), 1: (8, 8), 2: (20, 8)}
    assert segmentation_figure(method, data, data.task).axes  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"a batch has images of \d+ x \d+ and \d+ x \d+, each its own: give --data.eval_batch_size 1"):
        trainer(1).test(method, data_of(), verbose=False)


def test_a_size_of_test_images_is_one_of_both_domains_and_needs_images_apart(tmp_path: Path) -> None:
    write_masks(tmp_path, ("source/train", "source/test", "target/train", "target/test", "plain"))
    data = Masks(str(tmp_path), classes=[*NAMES], size=8, stride=2, eval_size=[12, 16])
    assert [tuple(rows[torch.arange(2)].x.shape) for domain in data.loaded for rows in domain.splits] == [(2, 3, 8, 8), (2, 3, 12, 16)] * 2
    assert tuple(data.loaded[1].test[torch.arange(2)].y.shape) == (2, 12, 16)  # type: ignore[index]
    assert data.read_new(str(tmp_path / "plain/images"), None).rows[torch.tensor([0])].x.shape[2:] == (12, 16)
    assert list(data.task.window) == [8, 8]  # type: ignore[attr-defined]
    assert "window" in data.task.description()["init_args"]
    with pytest.raises(UserError, match=r"--data.eval_size is the size of test images, and 'plain' has none apart"):
        _ = Masks(str(tmp_path), target="plain", classes=[*NAMES], size=8, stride=2, eval_size="own").loaded
    with pytest.raises(UserError, match=r"--data.eval_size is \[9, 8\]: it is a height and a width, multiples of --data.stride 2"):
        Masks(str(tmp_path), classes=[*NAMES], size=8, stride=2, eval_size=[9, 8])
