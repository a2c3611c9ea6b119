"""Images with masks in folders: how they are read, moved and refused."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.helpers.masked import NAMES, Scenes, setup, turn, write_masks, write_streets
from tlda.batch import Pair, Sample
from tlda.data import (
    DRIVE,
    CamVid,
    ColourJitter,
    Masks,
    RandAugment,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomZoom,
    Streets,
)
from tlda.data.augmenting import Augment
from tlda.data.masked_files import VOID, mask_values, read_mask
from tlda.data.masks import class_counts
from tlda.data.samplers import RareClasses, chances
from tlda.errors import Note, UserError

ROOT = Path("tests")


def data_in(root: Path, **options: Any) -> Masks:
    return Masks(str(root), **{"classes": NAMES, "size": 8, "stride": 2, "batch_size": 2, **options})


def save(path: Path, values: Any, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values), mode).save(path)


def test_rows_are_images_with_the_class_of_each_pixel(tmp_path: Path) -> None:
    data = setup(data_in(write_masks(tmp_path)))
    sample = data.loaded[0].train[torch.tensor([3, 0])]
    assert sample.x.shape == (2, 3, 8, 8)
    assert sample.x.dtype == torch.uint8
    assert [int(y.sum()) for y in sample.y] == [8 * 5, 8 * 2]
    assert data.loaded[1].labelled
    assert data.measures_target
    assert data.describe_row(2).endswith("target/images/2.png")
    again = data_in(tmp_path).loaded[0].train[torch.tensor([3, 0])]  # from the cache
    assert torch.equal(again.x, sample.x)
    assert torch.equal(again.y, sample.y)


def test_a_training_batch_has_the_label_in_the_middle_of_each_position_and_none_of_the_target(tmp_path: Path) -> None:
    data = setup(data_in(write_masks(tmp_path)))
    rows = torch.tensor([4, 1])
    whole = data.training_rows()["source"][rows]
    batch: Any = data.augmented(Pair(*(data.training_rows()[field][rows] for field in Pair._fields)))
    assert torch.equal(batch.source.y, whole.y[:, 1::2, 1::2].flatten())
    assert torch.equal(batch.source.row[16:], 16 * whole.row[1] + torch.arange(16))
    assert not hasattr(batch.target, "y")
    assert len(batch.target.row) == len(batch.target.domain) == 32


def test_a_colour_or_a_number_stands_for_a_class_or_void(tmp_path: Path) -> None:
    colours = np.array([[[1, 2, 3], [255, 0, 0]], [[0, 0, 0], [1, 2, 3]]], dtype=np.uint8)
    save(tmp_path / "a.png", colours)
    assert read_mask(tmp_path / "a.png", {(1, 2, 3): 0, (255, 0, 0): 1, (0, 0, 0): VOID}).tolist() == [[0, 1], [VOID, 0]]
    save(tmp_path / "b.png", np.array([[0, 255]], dtype=np.uint8))
    assert read_mask(tmp_path / "b.png", {0: 1, 255: 0}).tolist() == [[1, 0]]
    data = Masks(classes={"road": [1, 2, 3], "sky": [255, 0, 0]}, void=[[0, 0, 0]])
    assert data.task.classes == ["road", "sky"]
    assert data.values[(0, 0, 0)] == VOID


def test_void_is_no_label(tmp_path: Path) -> None:
    write_masks(tmp_path)
    data = data_in(tmp_path, classes={"ground": 0}, void=[1])
    assert set(data.loaded[0].train[torch.arange(2)].y.unique().tolist()) == {-1, 0}


def test_a_target_without_masks_is_not_measured(tmp_path: Path) -> None:
    write_masks(tmp_path)
    for path in [*(tmp_path / "target" / "masks").iterdir()]:
        path.unlink()
    (tmp_path / "target" / "masks").rmdir()
    data = setup(data_in(tmp_path))
    assert not data.measures_target
    assert not data.loaded[1].labelled
    assert (data.loaded[1].train[torch.arange(2)].y == -1).all()


def test_test_folders_measure(tmp_path: Path) -> None:
    write_masks(tmp_path, ["source", "target/train", "target/test"], 4)
    data = setup(data_in(tmp_path))
    assert data.evaluation_rows[1].images[0].parts[-3] == "test"  # type: ignore[attr-defined]


# Augmentations


@pytest.mark.parametrize("change", [RandomHorizontalFlip(1.0), RandomCrop(2), RandomZoom(), RandomAffine(20.0, 0.2), RandomResizedCrop(8)])
def test_an_augmentation_moves_image_and_mask_together(change: Augment) -> None:
    """A mask that is drawn into the image itself goes where the image goes; what comes in from outside is void."""
    y = torch.zeros(6, 8, 8, dtype=torch.long)
    y[:, :, 4:] = 1
    x = torch.stack((y == 1, y == 0, y == 0), 1)
    images = 255 * x.to(torch.uint8) if change.crops else x.float()
    torch.manual_seed(0)
    (moved,) = Scenes().apply(change, [Sample(images, y, torch.arange(6))])
    one, zero, _ = (moved.x.float() / (255 if change.crops else 1)).unbind(1)
    clear = ((one - zero).abs() > 0.02) & ((one + zero - 0.5).abs() > 0.02)
    expected = torch.where(one + zero <= 0.5, -1, (one > zero).long())
    assert torch.equal(moved.y[clear], expected[clear])
    assert not torch.equal(moved.y, y)


def test_a_flip_is_exact() -> None:
    torch.manual_seed(0)
    sample = Sample(torch.rand(3, 3, 4, 6), torch.randint(-1, 5, (3, 4, 6)), torch.arange(3))
    (moved,) = Scenes().apply(RandomHorizontalFlip(1.0), [sample])
    assert torch.equal(moved.x, sample.x.flip(3))
    assert torch.equal(moved.y, sample.y.flip(2))


def test_colours_leave_masks_alone_and_what_does_not_say_is_refused() -> None:
    sample = Sample(torch.rand(3, 3, 4, 6), torch.randint(-1, 5, (3, 4, 6)), torch.arange(3))
    (moved,) = Scenes().apply(ColourJitter(0.5), [sample])
    assert moved.y is sample.y
    assert not torch.equal(moved.x, sample.x)
    with pytest.raises(UserError, match="RandAugment does not say whether it moves"):
        Scenes().apply(RandAugment(), [sample])


# What is refused


def deep_colours(side: int) -> bytes:
    """A PNG of 16 bits a colour, which Pillow reads and does not write: no filter before each line, all zero."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes((1 + 6 * side) * side))) + chunk(b"IEND", b"")


def spoil(root: Path, what: str) -> None:
    masks, images = root / "source" / "masks", root / "source" / "images"
    match what:
        case "size":
            save(masks / "1.png", np.zeros((6, 8), dtype=np.uint8))
        case "number":
            save(masks / "1.png", np.full((8, 8), 7, dtype=np.uint8))
        case "colours":
            save(masks / "1.png", np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
        case "16 bits":
            save(masks / "1.png", np.zeros((8, 8), dtype=np.uint16))
        case "16 bits of colours":
            (masks / "1.png").write_bytes(deep_colours(8))
        case "image":
            (images / "1.png").unlink()
        case "mask":
            (masks / "1.png").unlink()
        case "empty":
            for path in (root / "target" / "images").iterdir():
                path.unlink()
        case "cut":
            (masks / "1.png").write_bytes((masks / "1.png").read_bytes()[:40])


REFUSED = {
    "size": "masks/1.png is 6 x 8, and its image .*images/1.png is 8 x 8 .*: give both one size",
    "number": "masks/1.png has the number 7 at line 0, column 0, which is neither in --data.classes nor in --data.void",
    "colours": "masks/1.png has colours, and --data.classes has numbers: give the colour of each class",
    "16 bits": "masks/1.png is a mask of more than 8 bits",
    "16 bits of colours": "masks/1.png is a mask of more than 8 bits",
    "image": "1 of 6 masks have no image of the same name, the first: .*masks/1.png",
    "mask": "1 of 6 images have no mask of the same name in .*masks, the first: .*images/1.png",
    "empty": "target/images has no images",
    "cut": "masks/1.png cannot be read",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_with_the_files_is_one_sentence(tmp_path: Path, what: str) -> None:
    write_masks(tmp_path)
    spoil(tmp_path, what)
    with pytest.raises(UserError, match=REFUSED[what]):
        setup(data_in(tmp_path)).loaded[0].train[torch.arange(1)]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_in_a_mask_is_not_looked_at(tmp_path: Path, mode: str) -> None:
    numbers = np.array([[0, 1], [2, 1]], dtype=np.uint8)
    Image.fromarray(numbers).convert(mode).save(tmp_path / "a.png")
    found, has_colours = mask_values(tmp_path / "a.png")
    assert found.tolist() == numbers.tolist()
    assert not has_colours


def test_folders_of_a_training_set_and_a_test_set_in_one_domain_are_told(tmp_path: Path) -> None:
    write_masks(tmp_path)
    for folder in (tmp_path / "source" / "images", tmp_path / "source" / "masks"):
        for part, names in (("train", "012"), ("val", "345")):
            (folder / part).mkdir()
            for name in names:
                (folder / f"{name}.png").rename(folder / part / f"{name}.png")
    with pytest.warns(Note, match="source/images has train and val in it, whose images are pooled"):
        assert len(setup(data_in(tmp_path)).loaded[0].train) == 6


def test_a_colour_that_no_palette_names_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.array([[[1, 2, 3], [9, 8, 7]]], dtype=np.uint8))
    with pytest.raises(UserError, match=r"the colour \[9, 8, 7\] at line 0, column 1"):
        read_mask(tmp_path / "a.png", {(1, 2, 3): 0})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": None}, "--data.classes is missing"),
        ({"classes": {"a": 1, "b": [1, 2, 3]}}, "mix numbers and colours"),
        ({"classes": {"a": 1, "b": 1}}, "two meanings"),
        ({"classes": {"a": 256, "b": 1}}, "has 256: a number from 0 to 255"),
        ({"size": [8, 9]}, "multiples of --data.stride 2"),
        ({"source": "elsewhere"}, "there is no folder"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _ = data_in(write_masks(tmp_path), **options).loaded


# DRIVE


def write_drive(root: Path) -> Path:
    """Two images a part; the first line is outside the field of view."""
    random = np.random.default_rng(0)
    for part, first in (("training", 21), ("test", 1)):
        for number in range(first, first + 2):
            field = np.full((8, 8), 255, dtype=np.uint8)
            field[0] = 0
            save(root / part / "images" / f"{number:02}_{part}.tif", random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            save(root / part / "1st_manual" / f"{number:02}_manual1.gif", 255 * random.integers(0, 2, (8, 8), dtype=np.uint8))
            save(root / part / "mask" / f"{number:02}_{part}_mask.gif", field)
    return root


def test_outside_the_field_of_view_drive_is_void(tmp_path: Path) -> None:
    data = DRIVE(str(write_drive(tmp_path)), size=8)
    assert data.task.classes == ["background", "vessel"]
    for domain in data.loaded:
        y = domain.train[torch.arange(2)].y
        assert (y[:, 0] == -1).all()
        assert set(y[:, 1:].unique().tolist()) == {0, 1}
    assert data.loaded[1].labelled
    manual = Image.open(tmp_path / "training/1st_manual/22_manual1.gif").convert("L")
    assert torch.equal(data.loaded[0].train[torch.tensor([1])].y[0, 1:], torch.from_numpy(np.array(manual))[1:].long() // 255)


def test_what_drive_lacks_is_said(tmp_path: Path) -> None:
    write_drive(tmp_path)
    (tmp_path / "training/mask/21_training_mask.gif").unlink()
    with pytest.raises(UserError, match=r"1 images of DRIVE have no field of view in the folder mask, the first: .*21_training\.tif"):
        _ = DRIVE(str(tmp_path), size=8).loaded
    for path in (tmp_path / "test/1st_manual").iterdir():
        path.unlink()
    assert DRIVE(str(tmp_path)).find("test")[0][0][1] is None
    with pytest.raises(UserError, match="DRIVE has no part 'val': its parts are training and test"):
        DRIVE(str(tmp_path), target="val")


# CamVid


def write_camvid(root: Path) -> Path:
    random = np.random.default_rng(0)
    drives = {"train": ["0001TP", "0006R0", "0016E5"], "val": ["0016E5"], "test": ["0001TP", "Seq05VD"]}
    for part, names in drives.items():
        for name in names:
            for number in range(2):
                save(root / part / f"{name}_{part}{number}.jpg", random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
                save(root / f"{part}annot" / f"{name}_{part}{number}.png", random.integers(0, 12, (12, 16), dtype=np.uint8))
    return root


def split_of(data: Masks) -> list[list[str]]:
    def names(rows: Any) -> list[str]:
        return [] if rows is None else [path.stem for part in getattr(rows, "parts_of", [rows]) for path in part.images]

    return [names(data.loaded[1].train), names(data.loaded[1].test)]


def test_a_drive_of_camvid_trains_and_is_measured_by_the_official_split(tmp_path: Path) -> None:
    data = CamVid(str(write_camvid(tmp_path)), size=[12, 16])
    assert split_of(data) == [["0001TP_train0", "0001TP_train1"], ["0001TP_test0", "0001TP_test1"]]
    assert [len(rows) for rows in data.loaded[0].splits] == [4, 2]
    assert data.task.sources == ["0006R0", "0016E5"]
    y: Tensor = data.loaded[1].train[torch.arange(2)].y
    assert y.min() == -1
    assert y.max() == 10
    assert len(data.task.classes) == 11
    day = CamVid(str(tmp_path), source="0016E5", target="Seq05VD", size=[12, 16])
    assert split_of(day) == [["Seq05VD_test0", "Seq05VD_test1"], []]
    with pytest.raises(UserError, match="CamVid has no drive '0001tp'"):
        CamVid(str(tmp_path), target="0001tp")


# Streets


def test_streets_have_the_layouts_of_their_distributors_and_nineteen_classes(tmp_path: Path) -> None:
    write_streets(tmp_path)
    data = Streets(str(tmp_path), size=[8, 16])
    assert split_of(data) == [["ulm_0_leftImg8bit", "ulm_1_leftImg8bit"], ["bonn_0_leftImg8bit", "bonn_1_leftImg8bit"]]
    assert [len(rows) for rows in data.loaded[0].splits] == [2]
    assert len(data.task.classes) == 19
    y = data.loaded[1].test[torch.arange(2)].y if data.loaded[1].test else torch.empty(0)
    assert [int(y.min()), int(y.max())] == [-1, 18]
    fog = Streets(str(tmp_path), source="cityscapes", target="foggy_cityscapes", size=[8, 16])
    assert split_of(fog)[0] == ["ulm_0_leftImg8bit_foggy_beta_0.02", "ulm_1_leftImg8bit_foggy_beta_0.02"]
    assert [len(rows) for domain in fog.loaded for rows in domain.splits] == [2, 2, 2, 2]


def test_streets_without_their_files_are_refused_and_a_target_without_masks_is_not(tmp_path: Path) -> None:
    write_streets(tmp_path)
    with pytest.raises(UserError, match="Streets has no domain 'gta': its domains are gta5, cityscapes, foggy_cityscapes"):
        Streets(str(tmp_path), source="gta")
    with pytest.raises(UserError, match=r"--data.classes out"):
        Streets(str(tmp_path), classes=["road"])
    shutil.rmtree(tmp_path / "cityscapes/gtFine")
    assert not Streets(str(tmp_path)).loaded[1].labelled
    with pytest.raises(UserError, match="2 of 2 images have no mask"):
        _ = Streets(str(tmp_path), source="cityscapes", target="foggy_cityscapes").loaded
    shutil.rmtree(tmp_path / "gta5")
    with pytest.raises(UserError, match=r"gta5.images has no images \*.png: put the distributor's files there"):
        _ = Streets(str(tmp_path)).loaded


# Rare classes


def test_images_with_a_rare_class_come_as_often_as_the_temperature_says() -> None:
    """Class 2 has an eighth of the pixels, in one image of four; class 3 has none."""
    counts = torch.tensor([[8, 0, 0, 0], [4, 4, 0, 0], [4, 4, 0, 0], [0, 4, 4, 0]])
    shares = torch.tensor([16, 12, 4]) / 32
    for temperature in (0.1, 1.0):
        expected = (-shares / temperature).exp()
        expected = torch.cat((expected / expected.sum(), torch.zeros(1))).double()
        torch.testing.assert_close(chances(counts, temperature), expected)
        rows = RareClasses(counts, temperature, 50, 400, seed=3).order()
        assert rows.shape == (400, 1, 50)
        of_row = torch.stack(
            [expected[0] / 3, expected[0] / 3 + expected[1] / 3, expected[0] / 3 + expected[1] / 3, expected[1] / 3 + expected[2]]
        )
        assert torch.allclose(rows.flatten().bincount() / rows.numel(), of_row.float(), atol=0.02)
    with pytest.raises(UserError, match="no pixel of these has one"):
        chances(torch.zeros(3, 2, dtype=torch.long), 1.0)


def test_rare_classes_are_drawn_of_the_source_alone_and_by_seed_and_epoch() -> None:
    data, plain = (setup(Scenes(seed=1, rare_classes=temperature)) for temperature in (0.01, None))
    rows = data.training_rows()
    counts = class_counts(rows["source"], 2)
    assert counts.tolist() == [[int((y == c).sum()) for c in range(2)] for y in rows["source"][torch.arange(len(counts))].y]
    drawn = data.sampler(rows["source"], 4, 2, 0, 1)
    first = drawn.order()
    assert torch.equal(first, data.sampler(rows["source"], 4, 2, 0, 1).order())
    drawn.go_on(1, 0)
    assert not torch.equal(first, drawn.order())
    of_target, expected = (each.sampler(rows["target"], 4, 3, 0, 1, "target") for each in (data, plain))
    assert torch.equal(of_target.order(), expected.order())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rare_classes": 0.0}, "is a temperature, above 0"),
        ({"rare_classes": 0.01, "balanced": "domains"}, "beside --data.balanced domains"),
    ],
)
def test_rare_classes_that_mean_nothing_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Scenes(**options)


def test_two_images_of_one_name_are_refused_where_they_have_masks(tmp_path: Path) -> None:
    root = write_masks(tmp_path, count=3)
    for domain in ("source", "target"):
        shutil.copy(root / domain / "images/1.png", root / domain / "images/1.jpg")
    with pytest.raises(UserError, match=r"source/images/1.jpg and .*source/images/1.png have one name: rename one"):
        _ = data_in(root).loaded
    (root / "source/images/1.jpg").unlink()
    shutil.rmtree(root / "target/masks")
    assert len(data_in(root).loaded[1].train) == 4


def test_images_that_exif_turns_are_told(tmp_path: Path) -> None:
    root = write_masks(tmp_path, count=3)
    turn(root / "source/images/2.png")
    with pytest.warns(Note, match=r"1 images of 'source', such as .*source/images/2.png, are turned by EXIF: masks and boxes are taken as"):
        _ = data_in(root).loaded
