"""``tlda data check`` of images with boxes."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import QUICK, Tlda
from tests.helpers.boxed import NAMES, SIDE, write_boxes
from tests.helpers.masked import turn
from tests.test_docs import marked
from tlda.data.boxed_check import SIDE as DRAWN
from tlda.data.boxed_check import boxed, check_boxes
from tlda.documents.palette import palette
from tlda.errors import Note, UserError


@pytest.mark.parametrize("layout", ["yolo", "voc", "coco"])
def test_it_counts_boxes_by_class_and_draws_them(tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = boxed(str(write_boxes(tmp_path / "cells", layout)))
    assert found
    assert found[0] == "cells"
    check_boxes(*found, tmp_path / "sheet.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["source: 6 images, 10 boxes, 1 images without one", "target: 6 images, 10 boxes, 1 images without one"]
    names = [line.split()[0] for line in lines[3:5]]
    assert sorted(names) == sorted(NAMES)
    assert [line.split()[1:] for line in lines[2:5]] == [["source", "target"], ["5", "5"], ["5", "5"]]
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image)
    first, second = (palette(2)[names.index(name)] for name in NAMES)
    one = DRAWN // SIDE  # of the first image, whose boxes go from (0, 0) to (6, 4) and from (8, 9) to (14, 15)
    assert tuple(sheet[22 + 4 * one - 1, 3 * one]) == first
    assert tuple(sheet[22 + 9 * one, 10 * one]) == second
    assert tuple(sheet[22 + 12 * one, 3 * one]) not in (first, second)


def test_a_target_without_boxes_and_unlike_classes_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_boxes(tmp_path / "cells", "coco", ["a", "b", "c"])
    (root / "b" / "annotations.json").unlink()
    path = root / "c" / "annotations.json"
    path.write_text(path.read_text().replace("blob", "spot"))
    found = boxed(str(root))
    assert found
    check_boxes(*found, tmp_path / "sheet.png")
    out = capsys.readouterr().out
    assert "b: 6 images, no boxes: it can be a target without labels" in out
    assert "the domains have unlike classes: --data.classes names those that all of them have" in out


@pytest.mark.parametrize("layout", ["yolo", "voc"])
def test_a_domain_of_images_alone_is_counted(tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_boxes(tmp_path / "cells", layout, ["a", "b"])
    for kind in ("Annotations", "labels"):
        shutil.rmtree(root / "b" / kind, ignore_errors=True)
    if layout == "yolo":
        (root / "b/images").rename(root / "images")
        (root / "b").rmdir()
        (root / "images").rename(root / "b")
    found = boxed(str(root))
    assert found
    check_boxes(*found, tmp_path / "sheet.png")
    assert "b: 6 images, no boxes: it can be a target without labels" in capsys.readouterr().out


def test_names_in_the_root_are_those_of_a_domain_in_two_parts_and_what_exif_turns_is_told(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cells", "yolo", ["a/train", "a/test", "b"])
    (root / "a/classes.txt").unlink()
    turn(root / "a/test/images/0.png")
    for place in (root, root / "a"):
        found = boxed(str(place))
        assert found
        with pytest.warns(Note, match=r"1 images of 'a', such as .*a/test/images/0.png, are turned by EXIF"):
            check_boxes(*found, tmp_path / "sheet.png")


@pytest.mark.parametrize("what", ["box", "image"])
def test_what_does_not_fit_is_a_sentence_after_the_report(tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_boxes(tmp_path / "cells", "yolo")
    if what == "box":
        (root / "source/labels/1.txt").write_text("0 0.5 0.5 0 0.2")
    else:
        path = root / "source/images/1.png"
        path.write_bytes(path.read_bytes()[:100])
    found = boxed(str(root))
    assert found
    sentence = {"box": "line 1 of .*source/labels/1.txt has a box of 'cell' .*, which has no area", "image": "source/images/1.png"}[what]
    with pytest.raises(UserError, match=f"1 domains or images cannot be used, the first: .*{sentence}"):
        check_boxes(*found, tmp_path / "sheet.png")
    assert "target: 6 images, 10 boxes" in capsys.readouterr().out
    assert (tmp_path / "sheet.png").exists()


def test_a_domain_by_itself_is_looked_through_and_a_folder_of_classes_is_none(tmp_path: Path) -> None:
    root = write_boxes(tmp_path / "cells", "voc", ["a"])
    assert boxed(str(root / "a")) == ("a", {"a": root / "a"})
    (tmp_path / "images/a/cup").mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(tmp_path / "images/a/cup/1.png")
    (tmp_path / "images/a/notes.json").write_text(json.dumps({"by": "me"}))
    assert boxed(str(tmp_path / "images")) is None
    assert boxed("nowhere") is None


@pytest.mark.slow
def test_the_commands_of_the_readme(tlda: Tlda) -> None:
    """All three, the second with a small network and for two steps."""
    block = marked("README.md", "own boxes").removeprefix("```bash\n").removesuffix("```").replace("\\\n", " ")
    check, fit, predict = (shlex.split(line)[1:] for line in block.splitlines())
    write_boxes(Path("cells"), "yolo", ["lab", "clinic"], 4)
    assert tlda(*check).code == 0
    assert Path("cells-sheet.png").is_file()
    fit[fit.index("--model.backbone") :] = ["--model.backbone={class_path: Dense, init_args: {name: resnet10t, weights: null}}"]
    done = tlda(*fit, "--data.size=16", "--data.batch_size=2", *QUICK[:-1], "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
    done = tlda(*predict)
    assert done.code == 0, done.err
    assert len(json.loads(Path("found.json").read_text())["images"]) == 4
    assert tlda("report", "runs/latest").code == 0
    assert '<img alt="detection"' in Path("report.html").read_text()
