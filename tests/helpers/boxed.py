"""A tiny data set of images with boxes, in each layout and in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from tlda.backbones import Backbone
from tlda.data import Boxes, Domain
from tlda.data.augmenting import Augment
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

    def __init__(self, n: int = 16, steps: int | None = 4, stride: int | None = 2, **kwargs: Any) -> None:
        super().__init__(classes=list(NAMES), size=SIDE, stride=stride, batch_size=4, steps=steps, **kwargs)
        self.n = n

    @property
    def names(self) -> list[str]:
        return list(NAMES)

    def load(self) -> tuple[Domain, Domain]:
        return Domain("source", self._made(1.0, 0)), Domain("target", self._made(0.6, 1))

    def _made(self, dark: float, seed: int) -> BoxedFiles:
        random = np.random.default_rng(seed)
        drawn = [boxes_of(i) for i in range(self.n)]
        return in_memory(drawn, np.stack([picture(b, dark, random) for b in drawn]), NAMES)


class ClueCells(Cells):
    """Squares that are red in the source, under some blue; those of the target are blue too, and every second image of it lacks the red."""

    def __init__(self, steps: int = 30, target_seed: int = 1) -> None:
        super().__init__(16, steps)
        self.classes, self.target_seed = NAMES[:1], target_seed

    @property
    def names(self) -> list[str]:
        return NAMES[:1]

    def _made(self, dark: float, seed: int) -> BoxedFiles:
        is_target, random = dark < 1, np.random.default_rng(self.target_seed if dark < 1 else 0)
        corners = random.integers([[0, 0], [8, 0]], [[4, 11], [12, 11]], (self.n, 2, 2))
        boxes = [[(0, a, b, a + 5, b + 5) for a, b in two] for two in corners.tolist()]
        images = np.stack([picture(each, 1.0, random) for each in boxes])
        if is_target:
            images[..., 2] = images[..., 0]
            images[1::2, ..., 0] = random.normal(60, 10, images[1::2, ..., 0].shape).clip(0, 255)
        else:
            images[..., 2] = random.integers(0, 180, (self.n, 1, 1)) + random.normal(0, 60, images[..., 2].shape).clip(0, 75)
        return in_memory(boxes, images, self.names)


class NoRed(Augment):
    """The red of all pixels is that of none in :class:`ClueCells`."""

    moves = False

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((torch.full_like(x[:, :1], 60 / 255), x[:, 1:]), 1)


def in_memory(boxes: Sequence[Sequence[tuple[int, int, int, int, int]]], images: Any, names: Sequence[str]) -> BoxedFiles:
    """The rows of images (n, 16, 16, 3) in bytes, with their boxes of ``names``, that are no files."""
    found = [Annotated(Path(f"{i}.png"), [Box(names[c], *(side / SIDE for side in sides)) for c, *sides in b]) for i, b in enumerate(boxes)]
    rows = BoxedFiles(found, (SIDE, SIDE), {name: number for number, name in enumerate(names)}, 2)
    rows.pictures = torch.from_numpy(images).permute(0, 3, 1, 2)
    rows.digest = rows.content = f"{len(found)}"
    return rows


class Near(Backbone):
    """Rows of positions at stride 2, each of which sees 5 x 5 of them."""

    channels, size, stride = 3, SIDE, 2

    def __init__(self, width: int = 16) -> None:
        super().__init__(width)
        self.layers = nn.Sequential(nn.Conv2d(3, width, 2, 2), nn.ReLU(), nn.Conv2d(width, width, 5, padding=2), nn.ReLU())

    def features(self, x: Tensor) -> Tensor:
        rows: Tensor = self.layers(x).permute(0, 2, 3, 1).flatten(0, 2)
        return rows
