"""Readers of images with boxes: YOLO's text files, Pascal VOC's XML, and COCO's JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.etree import ElementTree

from tlda.data.files import SUFFIXES, below, by_name, image_files, is_turned, of_one_part, reading, shape_of, text_of
from tlda.errors import UserError

LayoutName = Literal["yolo", "voc", "coco"]
"""The layouts of boxes."""

SLACK = 1.0
"""How many pixels a box may reach out of its image: tools round, and some count from 0 and some from 1. It is cut to the image."""


class Box(NamedTuple):
    """The name of a class, and left, top, right and bottom as shares of the image's width and height."""

    name: str
    left: float
    top: float
    right: float
    bottom: float


class Annotated(NamedTuple):
    """An image with its boxes, which may be none, and the file that they are in; None for both where it is not annotated."""

    image: Path
    boxes: list[Box] | None = None
    file: Path | None = None


@dataclass
class Found:
    """The images of a part of a domain, the names of the classes in their order, the images that a list keeps apart for a test, and
    whether the names are listed; else they are those of the boxes."""

    images: list[Annotated]
    names: list[str]
    test: list[Annotated] = field(default_factory=list)
    listed: bool = True


def parts_of(folder: Path) -> list[Path]:
    """The folder of a domain, or its ``train`` and ``test`` where it has a folder ``test``."""
    return [folder / "train", folder / "test"] if (folder / "test").is_dir() else [folder]


def held(folder: Path) -> list[LayoutName]:
    """The layouts that ``folder`` has annotations of."""
    holds: dict[LayoutName, bool] = {
        "yolo": (folder / "labels").is_dir(),
        "voc": (folder / "Annotations").is_dir(),
        "coco": bool(_json_files(folder)),
    }
    return [name for name, there in holds.items() if there]


def read_boxes(folder: Path, layout: LayoutName | None, names: Sequence[str], may_lack: bool, root: Path) -> Found:
    """The images of ``folder`` with their boxes.

    Args:
        folder: has ``images`` and ``labels`` with ``classes.txt`` in it, beside it or above (YOLO); ``JPEGImages`` and ``Annotations``,
            and lists in ``ImageSets/Main`` (VOC); or one JSON file, in it or in ``annotations``, and the images in it or in ``images``
            (COCO).
        layout: which of them; what is found decides where none is given.
        names: the names of YOLO's class numbers, where there is no ``classes.txt``.
        may_lack: whether there may be images alone, without any annotation.
        root: the folder of the domains, up to which ``classes.txt`` is looked for.

    Raises:
        UserError: no images, or no annotations; an image without annotation, or the reverse; a box outside, without area, or of a class
            that there is not; more than one layout, or a file that is none.
    """
    found_layouts = held(folder)
    there = [layout] if layout else found_layouts
    if len(there) > 1:
        raise UserError(f"{folder} has annotations of the layouts {' and '.join(there)}: say which by --data.layout")
    if not there or (may_lack and there[0] not in found_layouts):
        images = image_files(folder)
        if not images:
            raise UserError(f"{folder} has no images: put them there, with their boxes")
        if not may_lack:
            raise UserError(
                f"{folder} has images and no boxes: put them into labels (YOLO), Annotations (Pascal VOC) or a JSON file (COCO) in it"
            )
        return Found([Annotated(path) for path in images], [])
    readers: dict[LayoutName, Callable[[], Found]] = {
        "yolo": lambda: _yolo(folder, names, root),
        "voc": lambda: _voc(folder),
        "coco": lambda: _coco(folder),
    }
    found = readers[there[0]]()
    if not found.images:
        raise UserError(f"{folder} has no images to train on: put them there, with their boxes")
    return found


def _box(name: str, sides: Sequence[float], size: tuple[float, float], where: str) -> Box:
    """The box of ``sides`` left, top, right and bottom in pixels, of an image of ``size`` (height, width), which is ``where``."""
    left, top, right, bottom = sides
    height, width = size
    printed = f"{where} has a box of '{name}' from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
    if not (right > left and bottom > top):
        raise UserError(f"{printed}, which has no area: mend it, or take it away")
    if min(left, top) < -SLACK or right > width + SLACK or bottom > height + SLACK:
        raise UserError(f"{printed}, which is not inside its image of {width:g} x {height:g}: mend it, or take it away")
    shares = [min(max(side / length, 0.0), 1.0) for side, length in zip(sides, (width, height) * 2, strict=True)]
    return Box(name, *shares)


def _size(image: Path) -> tuple[int, int]:
    with reading(image):
        return shape_of(image, turned=False)


def _require_size(said: Sequence[float], image: Path, size: tuple[int, int], where: str) -> None:
    """Raise :class:`UserError` where the annotation ``where`` says a height and width, and the ``image`` has other ones."""
    if any(said) and [*said] != [*size]:
        advice = "save it upright, as EXIF turns it" if is_turned(image) else "give both one size"
        raise UserError(f"{where} is of an image of {said[1]:g} x {said[0]:g}, and its image is {size[1]} x {size[0]}: {advice}")


def _paired(images: Mapping[Path, Path], files: Mapping[Path, Path]) -> Iterator[tuple[Path, Path]]:
    """The images and annotations that have a name in common.

    Raises:
        UserError: one has no other.
    """
    for one, other, what in ((images, files, ("image", "annotation")), (files, images, ("annotation", "image"))):
        if lone := sorted(name for name in one if name not in other):
            none = "; an image without boxes has an empty one" if what[0] == "image" else ""
            raise UserError(
                f"{len(lone)} of {len(one)} {what[0]}s have no {what[1]} of the same name, the first: {one[lone[0]]}; "
                f"add what is missing, or take the other away{none}"
            )
    return ((path, files[name]) for name, path in images.items())


# YOLO


def _yolo(folder: Path, given: Sequence[str], root: Path) -> Found:
    labels, above = folder / "labels", [place for place in folder.parents if place == folder.parent or place.is_relative_to(root)]
    listed = [path for place in (folder, labels, *above) if (path := place / "classes.txt").is_file()]
    names = [line.strip() for line in text_of(listed[0]).splitlines() if line.strip()] if listed else list(given)
    if not names:
        raise UserError(
            f"{folder} has numbers for classes, and no classes.txt: put the names there, one a line, or give all of them, in the order of "
            "their numbers, as --data.classes"
        )
    files = [path for path in sorted(labels.rglob("*.txt")) if path.name != "classes.txt"]
    images = of_one_part(folder / "images", image_files(folder / "images"))
    pairs = _paired(by_name(images, below(folder / "images")), by_name(files, below(labels)))
    return Found([Annotated(image, list(_yolo_boxes(file, _size(image), names)), file) for image, file in pairs], names)


def _yolo_boxes(file: Path, size: tuple[int, int], names: Sequence[str]) -> Iterator[Box]:
    height, width = size
    for number, line in enumerate(text_of(file).splitlines(), 1):
        if not line.strip():
            continue
        where = f"line {number} of {file}"
        try:
            kind, x, y, wide, high = (float(part) for part in line.split())
        except ValueError as error:
            raise UserError(f"{where} is '{line.strip()[:60]}': it is a class number, centre x and y, width and height, 0 to 1") from error
        if not 0 <= kind < len(names) or kind != int(kind):
            raise UserError(f"{where} has the class number {kind:g}, and there are {len(names)} names, from 0 on: {', '.join(names)}")
        sides = [(x - wide / 2) * width, (y - high / 2) * height, (x + wide / 2) * width, (y + high / 2) * height]
        yield _box(names[int(kind)], sides, size, where)


# Pascal VOC


def _voc(folder: Path) -> Found:
    images, files = folder / "JPEGImages", folder / "Annotations"
    pairs = dict(_paired(by_name(image_files(images), below(images)), by_name(sorted(files.rglob("*.xml")), below(files))))
    named = by_name(pairs, lambda image: image.stem)  # as the lists name them
    read = {name: Annotated(image, list(_voc_boxes(pairs[image], image)), pairs[image]) for name, image in named.items()}
    test = _listed(folder, "test", read)
    kept = _listed(folder, "trainval", read) or [name for name in read if name not in test]
    if both := sorted({*kept} & {*test}):
        raise UserError(f"{folder / 'ImageSets/Main'} has {both[0]} both in trainval.txt and in test.txt: take it out of one")
    names = sorted({box.name for one in read.values() for box in one.boxes or ()})
    return Found([read[name] for name in kept], names, [read[name] for name in test], listed=False)


def _listed(folder: Path, part: str, read: Mapping[str, Annotated]) -> list[str]:
    path = folder / "ImageSets" / "Main" / f"{part}.txt"
    listed = [line.split()[0] for line in text_of(path).splitlines() if line.strip()] if path.is_file() else []
    if unknown := [name for name in listed if name not in read]:
        raise UserError(f"{path} lists {unknown[0]}, of which there is no image: add it, or take it out of the list")
    return listed


def _voc_boxes(file: Path, image: Path) -> Iterator[Box]:
    with reading(file, "its boxes are objects with name and bndbox"):
        root = ElementTree.parse(file).getroot()
        said = [float(root.findtext(f"size/{side}") or 0) for side in ("height", "width")]
        corners = ("xmin", "ymin", "xmax", "ymax")
        found = [
            (str(one.findtext("name")).strip(), [float(one.findtext(f"bndbox/{k}") or "") for k in corners]) for one in root.iter("object")
        ]
    size = _size(image)
    _require_size(said, image, size, str(file))
    for name, (left, top, right, bottom) in found:
        # Pixels are counted from 1, and the last one is inside.
        yield _box(name, [left - 1, top - 1, right, bottom], size, str(file))


# COCO


def _json_files(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.json"), *(folder / "annotations").glob("*.json")])


def _coco(folder: Path) -> Found:
    files = _json_files(folder)
    if len(files) != 1:
        raise UserError(
            f"{folder} has {len(files)} JSON files with annotations, and it is read from one: {', '.join(p.name for p in files)}"
        )
    with reading(files[0], "it is COCO's JSON with images, annotations and categories"):
        read: Any = json.loads(text_of(files[0]))
        names = {one["id"]: str(one["name"]) for one in read["categories"]}
        images = {one["id"]: str(one["file_name"]) for one in read["images"]}
        said = {one["id"]: [float(one.get(side) or 0) for side in ("height", "width")] for one in read["images"]}
        each = [(one["image_id"], one["category_id"], _four(one["bbox"]), one.get("iscrowd", 0)) for one in read["annotations"]]
    if twice := [name for name, count in Counter(names.values()).items() if count > 1]:
        raise UserError(f"{files[0]} has several categories of the name '{twice[0]}': rename them, or make them one")
    paths = {number: _of_coco(folder, name, files[0]) for number, name in images.items()}
    if lone := sorted(set(image_files(folder)) - {*paths.values()}):
        raise UserError(f"{len(lone)} images are not in {files[0]}, the first: {lone[0]}; add them there, or take them away")
    boxes: dict[Any, list[Box]] = {number: [] for number in images}
    sizes = {number: _size(path) for number, path in paths.items()}
    for number, path in paths.items():
        _require_size(said[number], path, sizes[number], f"the entry {images[number]} of {files[0]}")
    for number, kind, (left, top, width, height), crowd in each:
        if number not in boxes:
            raise UserError(f"{files[0]} has a box of the image {number}, and lists no such image: add it there, or take the box away")
        if kind not in names:
            raise UserError(f"{files[0]} has a box of the category {kind}, and names no such category: {', '.join(names.values())}")
        if not crowd:  # a region of many, which is no box of one
            where = f"{files[0]}, image {images[number]},"
            boxes[number].append(_box(names[kind], [left, top, left + width, top + height], sizes[number], where))
    return Found([Annotated(path, boxes[number], files[0]) for number, path in paths.items()], list(names.values()))


def _four(box: Sequence[Any]) -> list[float]:
    if len(box) != 4:
        raise ValueError(f"the box {box} has {len(box)} numbers, and not 4")
    return [float(x) for x in box]


def _of_coco(folder: Path, name: str, file: Path) -> Path:
    found = next((path for path in (folder / "images" / name, folder / name) if path.is_file()), None)
    if found is None or found.suffix.lower() not in SUFFIXES:
        raise UserError(f"{file} lists the image {name}, which is neither in {folder / 'images'} nor in {folder}: put it there")
    return found
