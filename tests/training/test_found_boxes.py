"""The pictures of found boxes that a prediction writes, and the names of the files of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.helpers.boxed import NAMES, SIDE, write_boxes
from tests.helpers.toy import trainer
from tests.tasks.test_detection import made
from tlda.data import Boxes
from tlda.documents.outlines import LINE
from tlda.documents.palette import palette
from tlda.nn.center_net import Found
from tlda.training import found_boxes
from tlda.training.found_boxes import labelled, places_of, write_pictures
from tlda.training.predictions import Predictions


def test_a_picture_has_what_is_found_and_beside_it_what_is_labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found_boxes, "SIDE", 10 * SIDE)
    data = Boxes(str(write_boxes(tmp_path, "coco")), size=16, stride=2)
    files = [data.describe_row(row) for row in range(2)]
    true = labelled(data, NAMES)
    assert true[files[0]][0] == ("cell", 0, 0, 6 / SIDE, 4 / SIDE)
    assert labelled(data, NAMES[1:])[files[0]] == true[files[0]][1:]
    boxes = [Found("blob", 0.31, 0.5, 0.0, 0.25, 0.5), Found("cell", 0.29, 0.0, 0.5, 0.5, 0.5)]
    columns: dict[str, Any] = {"file": files, "boxes": [boxes, []]}
    folder = write_pictures(tmp_path / "found.json", columns, NAMES, {files[0]: true[files[0]]})
    assert sorted(path.name for path in folder.iterdir()) == ["0.jpg", "1.jpg"]
    assert folder == tmp_path / "found_boxes"
    both, alone = (np.asarray(Image.open(folder / name)).astype(int) for name in ("0.jpg", "1.jpg"))
    assert both.shape[:2] == (10 * SIDE + 2 * LINE, 20 * SIDE + 4)
    assert alone.shape[:2] == (10 * SIDE + 2 * LINE, 10 * SIDE)
    cell, blob = palette(2)

    def near(place: tuple[int, int], colour: tuple[int, int, int]) -> bool:
        return bool(np.abs(both[2 * LINE + place[0], place[1]] - colour).max() < 60)

    assert near((40, 81), blob)  # the left side of what is found
    assert not near((120, 1), cell)  # its score is too low to be drawn
    assert near((20, 10 * SIDE + 4 + 59), cell)  # the right side of the first label


def test_a_prediction_draws_a_picture_of_each_image(tmp_path: Path) -> None:
    data = Boxes(str(write_boxes(tmp_path, "coco", count=3)), size=16, stride=2, batch_size=2)
    trainer(1, callbacks=[Predictions(tmp_path / "found.csv")]).predict(made(), data)
    assert sorted(path.name for path in (tmp_path / "found_boxes").iterdir()) == ["0.jpg", "1.jpg", "2.jpg"]


def test_files_of_one_name_are_written_under_two() -> None:
    assert places_of(["x/a.jpg", "b.png", "y/a.png"]) == ["0-a", "b", "2-a"]
    assert places_of(["x/a.png", "y/a.jpg", "0-a.png"]) == ["0-a", "1-a", "2-0-a"]
    assert places_of(["A.png", "a.png"]) == ["0-A", "1-a"]
