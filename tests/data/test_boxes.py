"""Images with boxes in folders: how they are read, moved and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.boxed import NAMES, SIDE, Cells, boxes_of, write_boxes
from tests.helpers.masked import setup, turn
from tlda.batch import Pair, Sample
from tlda.data import Boxes, ColourJitter, RandAugment, RandomAffine, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, RandomZoom
from tlda.data.augmenting import Augment
from tlda.data.boxed_files import moved_boxes
from tlda.errors import Note, UserError
from tlda.nn.center_net import targets


def data_in(root: Path, **options: Any) -> Boxes:
    return Boxes(str(root), **{"size": SIDE, "stride": 2, "batch_size": 2, **options})


@pytest.mark.parametrize("layout", ["yolo", "voc", "coco"])
def test_each_layout_gives_the_same_boxes(tmp_path: Path, layout: str) -> None:
    data: Any = setup(data_in(write_boxes(tmp_path, layout), classes=NAMES))
    sample = data.loaded[0].train[torch.tensor([1, 3, 0])]
    assert sample.x.dtype == torch.uint8
    assert torch.allclose(sample.y[0], torch.tensor(boxes_of(1)).float(), atol=1e-4)
    assert torch.allclose(sample.y[2], torch.tensor(boxes_of(0)).float(), atol=1e-4)
    assert (sample.y[1] == -1).all()  # annotated, and without a box
    assert data.task.known(sample.y).all()
    assert data.loaded[1].labelled
    assert data.measures_target
    assert data.describe_row(2).endswith("2.png")


def test_boxes_are_brought_to_the_size(tmp_path: Path) -> None:
    data = setup(data_in(write_boxes(tmp_path, "yolo"), size=[8, 32]))
    sample = data.loaded[0].train[torch.tensor([1])]
    assert sample.x.shape == (1, 3, 8, 32)
    assert torch.allclose(sample.y[0], torch.tensor(boxes_of(1)) * torch.tensor([1, 2, 0.5, 2, 0.5]), atol=1e-4)


def test_boxes_of_other_classes_are_left_out(tmp_path: Path) -> None:
    data = setup(data_in(write_boxes(tmp_path, "voc"), classes=["cell"]))
    assert data.loaded[0].train.boxes[..., 0].unique().tolist() == [-1, 0]  # type: ignore[attr-defined]
    assert data.task.outputs == ["cell", "width", "height", "right", "down"]


def test_a_list_of_voc_keeps_a_test_apart_and_so_does_a_folder(tmp_path: Path) -> None:
    write_boxes(tmp_path, "voc")
    lists = tmp_path / "target" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "test.txt").write_text("1\n4\n")
    data = setup(data_in(tmp_path))
    assert [len(rows) for rows in data.loaded[1].splits] == [4, 2]
    write_boxes(tmp_path / "b", "coco", ["source", "target/train", "target/test"], 4)
    again = setup(data_in(tmp_path / "b"))
    assert again.evaluation_rows[1].images[0].parts[-3] == "test"  # type: ignore[attr-defined]


def test_a_target_without_boxes_is_not_measured(tmp_path: Path) -> None:
    write_boxes(tmp_path, "coco")
    (tmp_path / "target" / "annotations.json").unlink()
    data = setup(data_in(tmp_path))
    assert not data.measures_target
    assert not data.loaded[1].labelled
    y = data.loaded[1].train[torch.arange(2)].y
    assert not data.task.known(y).any()


def test_several_sources_are_pooled(tmp_path: Path) -> None:
    data = setup(data_in(write_boxes(tmp_path, "yolo", ["a", "b", "target"]), source=["a", "b"]))
    rows: Any = data.loaded[0].train
    assert rows[torch.tensor([0, 7])].domain.tolist() == [0, 1]
    assert data.task.sources == ["a", "b"]


def test_a_training_batch_has_what_is_learnt_of_each_position_and_none_of_the_target() -> None:
    data = setup(Cells())
    rows = torch.tensor([4, 1])
    whole = data.training_rows()["source"][rows]
    batch: Any = data.augmented(Pair(*(data.training_rows()[field][rows] for field in Pair._fields)))
    assert torch.equal(batch.source.y, targets(whole.y, (8, 8), 2, 2))
    assert len(batch.source.row) == len(batch.target.domain) == len(batch.source.y) == 128
    assert not hasattr(batch.target, "y")


# Augmentations


@pytest.mark.parametrize(
    "change", [RandomHorizontalFlip(1.0), RandomCrop(3), RandomZoom(), RandomAffine(0.0, 0.2, 0.3), RandomResizedCrop(16)]
)
def test_an_augmentation_moves_image_and_boxes_together(change: Augment) -> None:
    """A box that is drawn into the image goes where the image goes."""
    torch.manual_seed(0)
    boxes = torch.tensor([[0, 4, 3, 10, 9]]).float().expand(8, 1, 5)
    x = torch.zeros(8, 3, 16, 16)
    x[:, :, 3:9, 4:10] = 1
    moved, found = moved_boxes(change, x, boxes)
    kept = found[:, 0, 0] == 0
    assert kept.sum() > 2
    for image, box in zip(moved[kept], found[kept, 0, 1:], strict=True):
        wide, high = (float(image[0].amax(axis).sum()) for axis in (0, 1))  # the light of an edge is the share that is covered
        assert abs(wide - float(box[2] - box[0])) < 0.6
        assert abs(high - float(box[3] - box[1])) < 0.6
        centre = (box[:2] + box[2:]) / 2
        places = torch.arange(16) + 0.5
        light = image[0] / image[0].sum()
        assert torch.allclose(torch.stack(((light.sum(0) * places).sum(), (light.sum(1) * places).sum())), centre, atol=0.6)


def test_a_flipped_image_has_flipped_boxes() -> None:
    torch.manual_seed(0)
    x, boxes = torch.rand(3, 3, 8, 12), torch.tensor([[[1, 2, 1, 5.5, 4], [-1, -1, -1, -1, -1]]]).expand(3, 2, 5)
    (moved,) = Cells().apply(RandomHorizontalFlip(1.0), [Sample(x, boxes, torch.arange(3))])
    assert torch.equal(moved.x, x.flip(3))
    assert torch.allclose(moved.y[:, 0], torch.tensor([1, 6.5, 1, 10, 4]).expand(3, 5), atol=1e-4)
    assert (moved.y[:, 1] == -1).all()


class Shift(Augment):
    """Everything goes eight pixels to the right."""

    moves = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (8, 0))[..., : x.shape[-1]]


class Bend(Augment):
    moves = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([line.roll(number % 5, -1) for number, line in enumerate(x.unbind(2))], 2)


def test_a_box_is_cut_to_the_image_or_gone() -> None:
    boxes = torch.tensor([[[0, 0, 0, 4, 4], [0, 5, 0, 11, 4], [1, 12, 2, 15, 6]]]).float()
    _, found = moved_boxes(Shift(), torch.rand(1, 3, 16, 16), boxes)
    assert torch.allclose(found[0, :2], torch.tensor([[0, 8, 0, 12, 4], [0, 13, 0, 16, 4.0]]), atol=1e-3)
    assert (found[0, 2] == -1).all()


def test_what_does_not_move_leaves_boxes_alone_and_what_bends_is_refused() -> None:
    sample = Sample(torch.rand(2, 3, 16, 16), torch.rand(2, 2, 5), torch.arange(2))
    (moved,) = Cells().apply(ColourJitter(0.5), [sample])
    assert moved.y is sample.y
    with pytest.raises(UserError, match="RandAugment does not say whether it moves"):
        Cells().apply(RandAugment(), [sample])
    with pytest.raises(UserError, match="bends images, and boxes go along with affine maps alone"):
        Cells().apply(Bend(), [sample])


# What is refused


def spoil(root: Path, what: str) -> None:
    labels, images = root / "source" / "labels", root / "source" / "images"
    lines = {
        "outside": "0 0.9 0.5 0.5 0.2",
        "no area": "0 0.5 0.5 0 0.2",
        "class": "2 0.5 0.5 0.1 0.2",
        "words": "0 0.5 0.5",
    }
    match what:
        case "image":
            (images / "1.png").unlink()
        case "annotation":
            (labels / "1.txt").unlink()
        case "empty":
            for path in (root / "target").rglob("*.*"):
                path.unlink()
        case "no boxes":
            for path in [*labels.iterdir()]:
                path.unlink()
            labels.rmdir()
        case "names":
            (root / "classes.txt").unlink()
        case "two layouts":
            (root / "source" / "a.json").write_text("{}")
        case _:
            (labels / "1.txt").write_text(f"0 0.5 0.5 0.2 0.2\n{lines[what]}\n")


REFUSED = {
    "outside": r"line 2 of .*labels/1.txt has a box of 'cell' from \(10.4, 6.4\) to \(18.4, 9.6\), which is not inside",
    "no area": "line 2 of .*labels/1.txt has a box of 'cell' .*, which has no area",
    "class": "line 2 of .*labels/1.txt has the class number 2, and there are 2 names, from 0 on: cell, blob",
    "words": "line 2 of .*labels/1.txt is '0 0.5 0.5': it is a class number, centre x and y",
    "image": "1 of 6 annotations have no image of the same name, the first: .*labels/1.txt",
    "annotation": "1 of 6 images have no annotation of the same name, the first: .*images/1.png",
    "empty": "target has no images",
    "no boxes": r"source has images and no boxes: put them into labels \(YOLO\)",
    "names": "numbers for classes, and no classes.txt: put the names there",
    "two layouts": "source has annotations of the layouts yolo and coco: say which by --data.layout",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_with_the_files_is_one_sentence(tmp_path: Path, what: str) -> None:
    write_boxes(tmp_path, "yolo")
    spoil(tmp_path, what)
    with pytest.raises(UserError, match=REFUSED[what]):
        _ = data_in(tmp_path).loaded


def test_what_is_wrong_with_cocos_file_is_one_sentence(tmp_path: Path) -> None:
    path = write_boxes(tmp_path, "coco") / "source" / "annotations.json"
    right = json.loads(path.read_text())
    box = {"image_id": 0, "category_id": 5, "bbox": [0, 0, 4, 4]}
    for more, sentence in (
        ({**box, "image_id": 9}, "has a box of the image 9, and lists no such image"),
        ({**box, "category_id": 1}, "has a box of the category 1, and names no such category: cell, blob"),
        ({**box, "bbox": [0, 0, 4, 40]}, "image 0.png, has a box of 'cell' .* not inside"),
        ({**box, "bbox": [0, 0, 4]}, r"json cannot be read \(the box \[0, 0, 4\] has 3 numbers, and not 4\)"),
    ):
        path.write_text(json.dumps({**right, "annotations": [more]}))
        with pytest.raises(UserError, match=sentence):
            _ = data_in(tmp_path).loaded
    path.write_text(json.dumps({**right, "images": right["images"][1:]}))
    with pytest.raises(UserError, match=r"1 images are not in .*annotations.json, the first: .*images/0.png"):
        _ = data_in(tmp_path).loaded
    path.write_text(json.dumps({**right, "categories": [{**one, "name": "cell"} for one in right["categories"]]}))
    with pytest.raises(UserError, match="json has several categories of the name 'cell': rename them, or make them one"):
        _ = data_in(tmp_path).loaded
    path.write_text("{")
    with pytest.raises(UserError, match="json cannot be read"):
        _ = data_in(tmp_path).loaded


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": ["cel"]}, "'source' has no class 'cel'.*cell"),
        ({"size": [16, 15]}, "multiples of --data.stride 2"),
        ({"source": "elsewhere"}, "there is no folder"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        _ = data_in(write_boxes(tmp_path, "voc"), **options).loaded


def test_domains_of_unlike_classes_are_refused(tmp_path: Path) -> None:
    write_boxes(tmp_path, "coco")
    path = tmp_path / "target" / "annotations.json"
    path.write_text(path.read_text().replace("blob", "spot"))
    with pytest.raises(UserError, match="'target' has no class 'blob'"):
        _ = data_in(tmp_path).loaded


def test_cocos_sizes_are_those_of_the_images(tmp_path: Path) -> None:
    path = write_boxes(tmp_path, "coco") / "source" / "annotations.json"
    right = json.loads(path.read_text())
    for images in ([{**one, "width": SIDE, "height": SIDE} for one in right["images"]], right["images"]):
        path.write_text(json.dumps({**right, "images": images}))
        _ = data_in(tmp_path).loaded
    path.write_text(json.dumps({**right, "images": [{**one, "width": 2 * SIDE, "height": SIDE} for one in right["images"]]}))
    sentence = "the entry 0.png of .*json is of an image of 32 x 16, and its image is 16 x 16: "
    with pytest.raises(UserError, match=f"{sentence}give both one size"):
        _ = data_in(tmp_path).loaded
    turn(tmp_path / "source/images/0.png")
    with pytest.raises(UserError, match=f"{sentence}save it upright, as EXIF turns it"):
        _ = data_in(tmp_path).loaded


def test_images_with_boxes_that_exif_turns_are_told(tmp_path: Path) -> None:
    turn(write_boxes(tmp_path, "yolo") / "target/images/2.png")
    with pytest.warns(Note, match=r"1 images of 'target', such as .*target/images/2.png, are turned by EXIF: masks and boxes are taken as"):
        _ = data_in(tmp_path).loaded


@pytest.mark.parametrize(("layout", "images"), [("yolo", "images"), ("voc", "JPEGImages")])
def test_two_images_of_one_name_are_refused(tmp_path: Path, layout: str, images: str) -> None:
    folder = write_boxes(tmp_path, layout) / "source" / images
    shutil.copy(folder / "1.png", folder / "1.jpg")
    with pytest.raises(UserError, match=rf"source/{images}/1.jpg and .*source/{images}/1.png have one name: rename one"):
        _ = data_in(tmp_path).loaded


def test_two_images_of_one_name_in_folders_of_voc_are_refused(tmp_path: Path) -> None:
    source = write_boxes(tmp_path, "voc") / "source"
    for kind, ending in (("JPEGImages", "png"), ("Annotations", "xml")):
        (source / kind / "a").mkdir()
        shutil.copy(source / kind / f"1.{ending}", source / kind / "a" / f"1.{ending}")
    with pytest.raises(UserError, match=r"1.png and .*1.png have one name: rename one"):
        _ = data_in(tmp_path).loaded


def test_yolos_names_in_the_root_are_those_of_a_domain_in_two_parts(tmp_path: Path) -> None:
    write_boxes(tmp_path, "yolo", ["source/train", "source/test", "target"])
    (tmp_path / "source" / "classes.txt").unlink()
    assert data_in(tmp_path).names == NAMES


def test_a_text_file_of_windows_is_read_or_one_sentence(tmp_path: Path) -> None:
    write_boxes(tmp_path, "yolo")
    for path in (tmp_path / "classes.txt", tmp_path / "source/labels/0.txt"):
        path.write_text(path.read_text(), encoding="utf-8-sig")
    data = data_in(tmp_path)
    assert data.names == NAMES
    assert len(data.loaded[0].train) == 6
    for path in (tmp_path / "source/labels/0.txt", tmp_path / "classes.txt"):
        path.write_bytes("zellkörper".encode("latin-1"))
        with pytest.raises(UserError, match=f"{path} is not in UTF-8: save it as UTF-8"):
            _ = data_in(tmp_path).loaded


def test_a_domain_of_voc_without_a_box_of_a_named_class_is_measured(tmp_path: Path) -> None:
    write_boxes(tmp_path, "voc")
    for path in (tmp_path / "target/Annotations").iterdir():
        path.write_text(path.read_text().replace("blob", "cell"))
    with pytest.raises(UserError, match="'target' has no class 'blob'"):
        _ = data_in(tmp_path).loaded
    data = setup(data_in(tmp_path, classes=NAMES))
    assert data.measures_target
    assert list(data.task.outputs[:2]) == NAMES
    with pytest.raises(UserError, match="'source' has no class 'spot'"):
        _ = data_in(tmp_path, classes=[*NAMES, "spot"]).loaded
