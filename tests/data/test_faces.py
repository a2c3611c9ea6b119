"""Faces: folders of people, disjoint people in training and test, boxes, and mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.toy import trainer
from tlda.backbones import Pixels
from tlda.data import Faces
from tlda.data.faces import FOUND, people_in, read_boxes, read_face
from tlda.errors import UserError
from tlda.losses import BNM, CORAL
from tlda.methods import DANN, MME, Oracle, SourceOnly
from tlda.network import Head


def write(path: Path, seed: int, width: int = 10, height: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)).save(path, "PNG")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six people of three images in folders, and five in files of one folder, as Yale's."""
    for person in range(6):
        for image in range(3):
            write(tmp_path / "one" / f"p{person}" / f"{image}.png", 10 * person + image)
    for person in range(5):
        for kind in ("happy", "sad"):
            write(tmp_path / "two" / f"subject{person:02}.{kind}", 100 + person)
    (tmp_path / "two" / "Readme").write_text("of people")
    return tmp_path


def faces(root: Path, **options: Any) -> Faces:
    return Faces(
        **{"root": str(root), "source": "one", "target": "two", "size": 6, "folds": 3, "batch_size": 6, "steps": 3, "seed": 1, **options}
    )


def test_nobody_is_trained_on_and_measured(root: Path) -> None:
    data = faces(root)
    source, target = data.load()
    assert source.test is not None
    assert target.test is not None
    assert (data.transfer, len(data.task.people), len(source.train), len(source.test)) == ("one_to_two", 3, 9, 9)
    assert sorted({*source.train.labels.tolist()}) == [0, 1, 2]
    assert sorted({*source.test.labels.tolist()}) == [3, 4, 5]
    # Of the target nobody has a name in training, and those who are measured are none of the source's.
    assert ({*target.train.labels.tolist()}, len(target.train), target.labelled) == ({-1}, 4, False)
    assert sorted({*target.test.labels.tolist()}) == [5, 6, 7]
    names = {Path(data.albums["one"].paths[row]).parent.name for row in source.train.rows.tolist()}  # type: ignore[attr-defined]
    assert names == set(data.task.people)


def test_the_people_follow_the_seed(root: Path) -> None:
    assert faces(root).task.people == faces(root).task.people
    assert len({tuple(faces(root, seed=seed).task.people) for seed in range(6)}) > 1


def test_the_data_of_several_seeds_are_the_same_until_a_face_changes(root: Path) -> None:
    before = faces(root).fingerprint()
    assert faces(root, seed=2).fingerprint() == before
    write(root / "one" / "p1" / "1.png", 999)
    assert faces(root).fingerprint() != before


def test_a_face_is_the_square_about_its_box_with_edges_repeated(tmp_path: Path) -> None:
    path = write(tmp_path / "face.png", 0)
    pixels = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1)
    assert torch.equal(read_face(path, 4, (2, 3, 6, 7)), pixels[:, 3:7, 2:6])
    assert torch.equal(read_face(path, 4, (3, 3, 5, 7)), pixels[:, 3:7, 2:6])  # as wide as it is high
    beyond = read_face(path, 4, (-2, 5, 2, 9))
    assert torch.equal(beyond[:, :3, 2:], pixels[:, 5:8, 0:2])
    assert torch.equal(beyond[:, :3, 0], pixels[:, 5:8, 0])
    assert torch.equal(beyond[:, 3], beyond[:, 2])
    assert torch.equal(read_face(path, 8, None), pixels[:, :, 1:9])  # the middle square


def boxes(root: Path, leave_out: str = "", box: str = "0,0,8,8") -> Path:
    images = [path.relative_to(root).as_posix() for name in ("one", "two") for paths in people_in(root / name).values() for path in paths]
    (root / "boxes.csv").write_text("path,left,top,right,bottom\n" + "".join(f"{path},{box}\n" for path in images if path != leave_out))
    return root / "boxes.csv"


def test_an_image_without_a_face_ends_the_run_by_its_name_or_is_left_out(root: Path) -> None:
    file = str(boxes(root, "one/p1/2.png"))
    with pytest.raises(UserError, match=r"2\.png has no box in .*boxes.csv: no face was found; add it, or set --data.not_found skip"):
        faces(root, boxes=file).load()
    data = faces(root, boxes=file, not_found="skip")
    with pytest.warns(UserWarning, match="1 images of 'one' have no box, and are left out"):
        assert len(data.albums["one"].paths) == 17


def test_the_faces_of_orl_and_yale_come_with_the_package() -> None:
    found = read_boxes(FOUND)
    assert (len(found), sum(path.startswith("orl_faces/") for path in found)) == (561, 399)


def test_a_run_measures_pairs_of_both_domains_by_one_threshold_too(root: Path) -> None:
    data = faces(root)
    method = DANN(backbone=Pixels(size=3), task=data.task, head=Head(temperature=0.1, arcface=0.3))
    run = trainer(4)
    run.fit(method, data)
    measured = {name: value for metrics in run.test(method, data, verbose=False) for name, value in metrics.items()}
    assert {"accuracy", "accuracy_std", "auc", "eer", "tar_far_1", "tar_far_01", "threshold", "accuracy_source_threshold"} == {
        name.removeprefix("test/target/") for name in measured if name.startswith("test/target/")
    }
    assert "test/source/threshold" in measured
    # The two images of each of Yale's people are one here, so that their pairs are found.
    assert measured["test/target/auc"] == 1.0
    assert measured["test/target/eer"] == 0.0
    assert 0 <= measured["test/target/accuracy_source_threshold"] <= 1


def test_classes_across_domains_are_refused_by_name(root: Path) -> None:
    data = faces(root)
    with pytest.raises(
        UserError, match="MME looks at the classes of a row, and Verification has none: take a method that compares features"
    ):
        MME(backbone=Pixels(size=3), task=data.task)
    plain = SourceOnly(backbone=Pixels(size=3), task=data.task, plus=[CORAL()])
    with pytest.raises(UserError, match="the loss 'confusion' looks at the classes of a row, and Verification has none"):
        plain.add_loss("confusion", BNM())
    with pytest.raises(UserError, match="the method trains on labels of the target, and 'two' has none"):
        trainer(1).fit(Oracle(backbone=Pixels(size=3), task=data.task), data)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"people": 5},
            "'one' has 6 people, of whom 5 are trained on and 1 measured, in 3 folds of people: set --data.people or --data.folds",
        ),
        ({"target_people": 5}, "'two' has 5 people, of whom 5 are trained on and 0 measured"),
        ({"people": 3, "folds": 4}, "3 measured, in 4 folds of people"),
        ({"people": 1}, "only .* to train on: verification needs two people or more"),
        ({"folds": 1}, "folds is 1: the other folds, which choose a threshold, need two people"),
        ({"source": "three"}, "there is no folder of people .*three"),
        ({"source": "two"}, "are both two"),
        ({"boxes": "nowhere.csv"}, "there is no file of boxes nowhere.csv"),
    ],
)
def test_people_that_do_not_suffice_are_refused(root: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        faces(root, **options).load()


def test_files_that_do_not_suffice_are_refused(root: Path, tmp_path: Path) -> None:
    write(root / "one" / "alone" / "1.png", 0)
    with pytest.raises(UserError, match=r"'alone' of .*one has one image with a face, and a pair is of two: add images, or take it away"):
        faces(root).load()
    write(root / "flat" / "1.png", 0)
    with pytest.raises(UserError, match="flat has images, and no folders of people: put the images of each person into a folder"):
        people_in(root / "flat")
    (root / "empty").mkdir()
    with pytest.raises(UserError, match="empty has no images"):
        people_in(root / "empty")
    face = write(tmp_path / "face.png", 0)
    with pytest.raises(UserError, match=r"the box of .*face.png lies outside its 10 x 8 pixels"):
        read_face(face, 4, (11, 0, 15, 4))
    for box, said in (("5,5,5,9", "the box in line 2 of .* is empty"), ("5,5,x,9", "line 2 of .* is no box")):
        with pytest.raises(UserError, match=said):
            read_boxes(boxes(root, box=box))
