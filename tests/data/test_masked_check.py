"""``tlda data check`` of images with masks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.conftest import QUICK, Tlda
from tests.helpers.masked import turn, write_masks
from tests.test_docs import marked
from tlda.data.check import check
from tlda.data.masked_check import SIDE, check_masks, masked
from tlda.documents.palette import palette
from tlda.errors import Note, UserError


def test_it_counts_pixels_by_value_and_draws_images_beside_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = masked(str(write_masks(tmp_path / "road")), None)
    assert found
    check_masks(*found, tmp_path / "sheet.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["source: 6 images, 6 masks", "target: 6 images, 6 masks"]
    assert lines[3].split() == ["0", "54.17", "%", "54.17", "%"]  # 2, 3, 4, 5, 6 and 2 of 8 lines are sky
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image)
    ground, sky = palette(2)
    mask = sheet[22 : 22 + SIDE, SIDE + 4 : 2 * SIDE + 4]
    assert tuple(mask[4, 64]) == sky
    assert tuple(mask[-4, 64]) == ground


def test_colours_and_a_target_without_masks_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_masks(tmp_path / "road", count=2)
    for path in (root / "source/masks").iterdir():
        Image.fromarray(np.full((8, 8, 3), (200, 10, 0), dtype=np.uint8)).save(path)
    for path in [*(root / "target/masks").iterdir()]:
        path.unlink()
    (root / "target/masks").rmdir()
    found = masked(str(root), None)
    assert found
    check_masks(*found, tmp_path / "sheet.png")
    out = capsys.readouterr().out
    assert "target: 2 images, no masks: it can be a target without labels" in out
    assert "[200, 10, 0]  100.00 %" in out


def test_a_grey_mask_among_colours_is_of_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_masks(tmp_path / "road", count=2)
    for path in root.glob("*/masks/*.png"):
        colour = (0, 0, 255) if path.parts[-3:] == ("source", "masks", "0.png") else (255, 255, 255)
        Image.fromarray(np.full((8, 8, 3), colour, dtype=np.uint8)).save(path)
    found = masked(str(root), None)
    assert found
    check_masks(*found, tmp_path / "sheet.png")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("]")[1].split() for line in lines[3:5]] == [["50.00", "%", "0.00", "%"], ["50.00", "%", "100.00", "%"]]
    assert lines[3].startswith("[0, 0, 255]")
    assert lines[4].startswith("[255, 255, 255]")
    with Image.open(tmp_path / "sheet.png") as image:
        sheet = np.asarray(image)
    blue, white = palette(2)
    masks = [tuple(sheet[22 + top + SIDE // 2, left + SIDE + 4 + SIDE // 2]) for top, left in ((0, 0), (0, 2 * SIDE + 8), (SIDE + 24, 0))]
    assert masks == [blue, white, white]


def test_images_that_exif_turns_are_told(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "road", count=2)
    turn(root / "target/images/1.png")
    found = masked(str(root), None)
    assert found
    with pytest.warns(Note, match=r"1 images of 'target', such as .*target/images/1.png, are turned by EXIF"):
        check_masks(*found, tmp_path / "sheet.png")


def test_a_damaged_image_is_a_sentence_after_the_report(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "road", count=2)
    (root / "source/images/1.png").write_bytes(b"no image")
    found = masked(str(root), None)
    assert found
    with pytest.raises(UserError, match=r"1 images or masks cannot be used, the first: .*source/images/1.png cannot be read"):
        check_masks(*found, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (np.zeros((6, 8), dtype=np.uint8), "1 images or masks cannot be used, the first: the mask .*1.png is 6 x 8, and its image"),
        (np.zeros((8, 8), dtype=np.uint16), "the first: .*1.png is a mask of more than 8 bits"),
    ],
)
def test_a_mask_that_does_not_fit_is_a_sentence_after_the_report(tmp_path: Path, mask: npt.NDArray[Any], sentence: str) -> None:
    root = write_masks(tmp_path / "road", count=2)
    Image.fromarray(mask).save(root / "source/masks/1.png")
    found = masked(str(root), None)
    assert found
    with pytest.raises(UserError, match=sentence):
        check_masks(*found, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()


def test_a_folder_of_classes_is_no_folder_of_masks(tmp_path: Path) -> None:
    (tmp_path / "a/cup").mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a/cup/1.png")
    assert masked(str(tmp_path), None) is None
    check(str(tmp_path), None, tmp_path / "sheet.png")


@pytest.mark.slow
def test_the_commands_of_the_readme(tlda: Tlda) -> None:
    """The first two, the second with a small network and for two steps."""
    block = marked("README.md", "own masks").removeprefix("```bash\n").removesuffix("```").replace("\\\n", " ")
    check, fit, _ = (shlex.split(line)[1:] for line in block.splitlines())
    write_masks(Path("road"), ["day", "dusk"], 4)
    assert tlda(*check).code == 0
    assert Path("road-sheet.png").is_file()
    fit[fit.index("--model.backbone") :] = ["--model.backbone={class_path: Dense, init_args: {name: resnet10t, weights: null}}"]
    done = tlda(*fit, "--data.size=[8,16]", "--data.batch_size=2", *QUICK, "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
