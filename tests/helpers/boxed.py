"""A tiny data set of images with boxes, in each layout and in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tlda.data import Boxes, Domain
from tlda.data.box_layouts import Annotated, Box
from tlda.data.boxed_files import BoxedFiles

NAMES = ["cell", "blob"]
"""The class of a square that is red, and of one that is blue."""

SIDE = 16


def picture(boxes: Sequence[tuple[int, int, int, int, int]], dark: float, random: np.random.Generator) -> Any:
    """An image of 16 x 16 with a coloured rectangle for each box: class, left, top, right and bottom in pixels."""
    light = random.normal(60, 10, (SIDE, SIDE, 3))
    for number, left, top, right, bottom in boxes:
        light[top:bottom, left:right, 2 * number] = 220
    return (dark * light).clip(0, 255).astype(np.uint8)


def boxes_of(number: int) -> list[tuple[int, int, int, int, int]]:
    """Two boxes of two classes, or of every fourth image none."""
    a, b = 2 * (number % 4), number % 3
    return [] if number % 4 == 3 else [(0, a, b, a + 6, b + 4), (1, 8 - a % 5, 9, 14 - a % 5, 15)]


def write_boxes(root: Path, layout: str, domains: Sequence[str] = ("source", "target"), count: int = 6) -> Path:
    """``count`` images for each of ``domains``, each darker than the one before, in the ``layout`` yolo, voc or coco."""
    random = np.random.default_rng(0)
    for number, domain in enumerate(domains):
        folder = root / domain
        images = folder / ("JPEGImages" if layout == "voc" else "images")
        images.mkdir(parents=True)
        every = {f"{i}.png": boxes_of(i) for i in range(count)}
        for name, boxes in every.items():
            Image.fromarray(picture(boxes, 0.6**number, random)).save(images / name)
        {"yolo": as_yolo, "voc": as_voc, "coco": as_coco}[layout](folder, every)
    return root


Every = dict[str, list[tuple[int, int, int, int, int]]]


def as_yolo(folder: Path, every: Every) -> None:
    (folder / "labels").mkdir()
    (folder.parent / "classes.txt").write_text("\n".join(NAMES) + "\n")
    for name, boxes in every.items():
        lines = [f"{c} {(a + x) / 2 / SIDE} {(b + y) / 2 / SIDE} {(x - a) / SIDE} {(y - b) / SIDE}" for c, a, b, x, y in boxes]
        (folder / "labels" / name).with_suffix(".txt").write_text("\n".join(lines))


def as_voc(folder: Path, every: Every) -> None:
    (folder / "Annotations").mkdir()
    for name, boxes in every.items():
        objects = "".join(
            f"<object><name>{NAMES[c]}</name>"
            f"<bndbox><xmin>{a + 1}</xmin><ymin>{b + 1}</ymin><xmax>{x}</xmax><ymax>{y}</ymax></bndbox></object>"
            for c, a, b, x, y in boxes
        )
        size = f"<size><width>{SIDE}</width><height>{SIDE}</height></size>"
        (folder / "Annotations" / name).with_suffix(".xml").write_text(f"<annotation>{size}{objects}</annotation>")


def as_coco(folder: Path, every: Every) -> None:
    found = [(i, box) for i, boxes in enumerate(every.values()) for box in boxes]
    read = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(every)],
        "categories": [{"id": 5 + number, "name": name} for number, name in enumerate(NAMES)],
        "annotations": [
            {"id": k, "image_id": i, "category_id": 5 + c, "bbox": [a, b, x - a, y - b]} for k, (i, (c, a, b, x, y)) in enumerate(found)
        ],
    }
    (folder / "annotations.json").write_text(json.dumps(read))


class Cells(Boxes):
    """The same, in memory."""

    def __init__(self, n: int = 16, steps: int | None = 4, **kwargs: Any) -> None:
        super().__init__(classes=list(NAMES), size=SIDE, stride=2, batch_size=4, steps=steps, **kwargs)
        self.n = n

    @property
    def names(self) -> list[str]:
        return list(NAMES)

    def load(self) -> tuple[Domain, Domain]:
        return Domain("source", self._made(1.0, 0)), Domain("target", self._made(0.6, 1))

    def _made(self, dark: float, seed: int) -> BoxedFiles:
        random = np.random.default_rng(seed)
        drawn = [boxes_of(i) for i in range(self.n)]
        found = [
            Annotated(Path(f"{i}.png"), [Box(NAMES[c], *(side / SIDE for side in sides)) for c, *sides in b]) for i, b in enumerate(drawn)
        ]
        rows = BoxedFiles(found, (SIDE, SIDE), {name: number for number, name in enumerate(NAMES)}, 2)
        rows.pictures = torch.from_numpy(np.stack([picture(b, dark, random) for b in drawn])).permute(0, 3, 1, 2)
        rows.digest = rows.content = f"{self.n}"
        return rows
