"""Images resized at their own aspect ratio and cropped, as torchvision does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from tlda.batch import Output, Pair, Sample, Unlabelled
from tlda.data import Features, Folders, RandomHorizontalFlip, RandomResizedCrop, RandomWindow, Relabelled, Translated
from tlda.data.crops import Ragged, Viewed, apart, together, viewing
from tlda.data.files import decode, pixels, shape_of
from tlda.data.folders import scaled
from tlda.errors import UserError
from tlda.network import averaged

SHAPES = [(30, 40), (40, 30), (24, 24), (25, 61), (21, 20)]
"""Heights and widths, among them odd differences from the crop."""


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for domain in ("source", "target"):
        for label, name in enumerate(("cat", "dog")):
            (folder := tmp_path / "pets" / domain / name).mkdir(parents=True)
            for number, shape in enumerate(SHAPES):
                noise(*shape, seed=10 * label + number).save(folder / f"{number}.png")
    return tmp_path / "pets"


def images(data: Folders) -> list[Image.Image]:
    rows: Any = data.loaded[0].train
    return [Image.open(path) for path in rows.paths]


def expected(data: Folders, *steps: Callable[[Any], Any]) -> Tensor:
    return torch.stack([v2.functional.pil_to_tensor(v2.Compose(list(steps))(image)) for image in images(data)])


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(("options", "resize"), [({"resize": 20}, 20), ({"size": 20}, (20, 20))])
def test_the_middle_is_torchvisions_bit_for_bit(root: Path, options: dict[str, Any], resize: Any, in_memory: bool) -> None:
    data = Folders(str(root), crop=15, in_memory=in_memory, seed=0, **options)
    found = data.loaded[0].train[torch.arange(10)].x
    assert torch.equal(found, expected(data, v2.Resize(resize), v2.CenterCrop(15)))


def test_ten_crops_are_torchvisions_and_only_tests_see_them(root: Path) -> None:
    data = Folders(str(root), resize=20, crop=15, ten_crop=True, seed=0)
    data.setup("test")
    (batch,) = data.test_dataloader()[1]
    rows = torch.stack([torch.stack([*v2.functional.ten_crop(image, [15, 15])]) for image in whole(data)])
    assert torch.equal(batch.x, rows[batch.row])
    batch = next(iter(data.predict_dataloader()))
    assert torch.equal(batch.x, rows[batch.row])
    (batch,) = data.val_dataloader()[1]
    assert batch.x.shape == (10, 3, 15, 15)


def whole(data: Folders) -> list[Tensor]:
    """The images of the target, which are those of the source."""
    return [pixels(image.resize(scaled(*image.size, 20), Image.Resampling.BILINEAR)) for image in images(data)]


def test_an_answer_to_crops_is_their_mean_probability() -> None:
    logits = torch.randn(10, 4, 3)
    output = averaged(
        [Output(features, scores) for features, scores in zip(torch.arange(10.0)[:, None, None].expand(10, 4, 2), logits, strict=True)]
    )
    torch.testing.assert_close(output.logits.softmax(1), logits.softmax(2).mean(0))
    torch.testing.assert_close(output.features, torch.full((4, 2), 4.5))


def batch_of(data: Folders, training: bool = True) -> Pair:
    """The first training batch, as the method sees it."""
    module = SimpleNamespace(batch_type=Pair)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        training=training, global_rank=0, world_size=1, lightning_module=module, fit_loop=None
    )
    data.setup("fit")
    read, *_ = next(iter(data.train_dataloader()))
    batch: Pair = data.on_after_batch_transfer(data.transfer_batch_to_device(read, torch.device("cpu"), 0), 0)
    return batch


@pytest.mark.parametrize("in_memory", [True, False])
def test_training_cuts_any_place_out_of_the_whole_image(root: Path, in_memory: bool) -> None:
    data = Folders(str(root), resize=20, crop=15, in_memory=in_memory, batch_size=64, steps=1, seed=0)
    torch.manual_seed(0)
    batch = batch_of(data)
    assert batch.source.x.shape == batch.target.x.shape == (64, 3, 15, 15)
    places = set()
    for image, row in zip((255 * batch.target.x).round().byte(), batch.target.row.tolist(), strict=True):
        windows = whole(data)[row].unfold(1, 15, 1).unfold(2, 15, 1)
        there = (windows == image[:, None, None]).all(-1).all(-1).all(0).nonzero()
        assert len(there) == 1
        places.add(tuple(there[0].tolist()))
    assert {top for top, _ in places} >= set(range(6)), "the shorter side leaves 5 pixels"
    assert max(left for _, left in places) > 20, "and the widest image many more"


def test_windows_lie_anywhere_as_often() -> None:
    torch.manual_seed(0)
    places = torch.arange(9.0).view(1, 3, 3).expand(9000, 1, 3, 3)
    counts = RandomWindow(2)(places)[:, 0, 0, 0].long().bincount()
    assert counts[[0, 1, 3, 4]].sum() == 9000
    assert (counts[[0, 1, 3, 4]] / 9000 - 0.25).abs().max() < 0.02


def test_the_augmentation_that_cuts_takes_the_place_of_the_window(root: Path) -> None:
    flip_all = [RandomHorizontalFlip(1.0), RandomResizedCrop(15, scale=(1.0, 1.0), ratio=(1.0, 1.0))]
    data = Folders(str(root), size=20, crop=15, augment=flip_all, batch_size=4, steps=1, seed=0)
    batch = batch_of(data)
    rows = data.loaded[1].train
    with viewing("whole"):
        squashed = rows[batch.target.row].x
    resized = v2.functional.resize(squashed, [15, 15], antialias=True).flip(3)
    assert torch.equal((255 * batch.target.x).round().byte(), resized)


def test_measuring_and_passes_without_augmentation_see_the_middle(root: Path) -> None:
    data = Folders(str(root), resize=20, crop=15, seed=0)
    data.setup("fit")
    rows = data.training_rows()["source"]
    batch = data.on_after_batch_transfer(next(iter(data.loader(rows, [torch.arange(len(rows))]))), 0)
    assert torch.equal((255 * batch.x).round().byte(), rows[torch.arange(len(rows))].x)


def test_images_are_decoded_once_whatever_the_crop(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Folders(str(root), resize=20, crop=15, seed=0).setup("fit")
    monkeypatch.setattr("tlda.data.folders.read_image", lambda path, *_: pytest.fail(f"{path} is decoded again"))
    monkeypatch.setattr("tlda.data.folders.shape_of", lambda path, *_: pytest.fail(f"the header of {path} is read again"))
    other = Folders(str(root), resize=20, crop=18, seed=0)
    other.setup("fit")
    assert other.loaded[0].train[torch.arange(3)].x.shape == (3, 3, 18, 18)


def test_what_decides_the_pixels_decides_the_fingerprint(root: Path) -> None:
    options: list[dict[str, Any]] = [{}, {"resize": 20, "crop": 15}, {"resize": 20, "crop": 16}, {"size": 20, "crop": 15}, {"size": 20}]
    kept = [Folders(str(root), seed=0, **given) for given in options]
    assert len({data.fingerprint() for data in kept}) == len(options)
    rows: Any = [data.loaded[0].train for data in kept]
    assert len({part.content for part in rows}) == len(options)
    assert rows[1].entry() == rows[2].entry(), "decoded once for both crops"


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_shape_that_headers_give_is_that_of_the_decoded_image(tmp_path: Path, ending: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise(8, 12).save(tmp_path / f"0.{ending}", exif=exif)
    for turned in (True, False):
        assert shape_of(tmp_path / f"0.{ending}", turned) == decode(tmp_path / f"0.{ending}", turned).size[::-1]


def test_images_of_any_shape_travel_as_one_tensor() -> None:
    parts = [torch.rand(3, height, width) for height, width in SHAPES]
    ragged = together(parts)
    assert isinstance(ragged, Ragged)
    assert ragged.values.ndim == 1
    assert all(torch.equal(a, b) for a, b in zip(apart(ragged), parts, strict=True))
    assert isinstance(together([parts[0], parts[0]]), Tensor)
    assert isinstance(Viewed(Rows(), "whole")[torch.arange(2)], Sample)


class Rows:
    """Two rows without an image."""

    labels = torch.zeros(2)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(torch.zeros(2, 1, 1, 1), self.labels, rows)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"resize": 20}, r"a batch has one shape: give --data.crop too"),
    ({"resize": 0, "crop": 1}, r"--data.resize is 0: it is the shorter side"),
    ({"crop": 300}, r"--data.crop is 300, and --data.size is 224"),
    ({"resize": 20, "crop": 21}, r"--data.crop is 21, and --data.resize is 20"),
    ({"ten_crop": True}, r"give --data.crop, their side"),
    ({"size": 20, "crop": 15, "augment": [RandomResizedCrop(20)]}, r"RandomResizedCrop trains on images of 20, and tests see 15"),
    ({"size": 20, "augment": [RandomResizedCrop(15)]}, r"RandomResizedCrop trains on images of 15, and tests see 20"),
    ({"crop": 15, "translated": Translated("there")}, r"--data.translated replaces whole images"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_does_not_go_together_is_refused(root: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Folders(str(root), **options)


def test_ten_crops_have_one_task_and_no_cached_features(root: Path) -> None:
    data = Folders(str(root), resize=20, crop=15, ten_crop=True)
    with pytest.raises(UserError, match=r"leave ten_crop out"):
        Features(data, lambda: pytest.fail("no network is made"))
    with pytest.raises(UserError, match=r"Relabelled has several: leave it out"):
        Relabelled(data)


def test_relabelled_images_are_cut_too(root: Path) -> None:
    inner = Folders(str(root), resize=20, crop=15, seed=0)
    outer: Any = Relabelled(inner, tasks={"pet": {"a": ["cat"], "b": ["dog"]}}, batch_size=2, steps=1, seed=0)
    batch = batch_of(outer)
    assert batch.source.x.shape == (2, 3, 15, 15)
    assert isinstance(batch.target, Unlabelled)
