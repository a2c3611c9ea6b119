"""Faces: photographs of people, some of whom are trained on, and others measured."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tlda.data.arrays import Images, Splits, digest, require_size
from tlda.data.cache import cached, slug
from tlda.data.files import decode, image_files, is_hidden, pixels, reading
from tlda.data.layouts import data_root, subfolders
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain, Subset
from tlda.errors import UserError, near, warn
from tlda.tasks import Verification

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a face, in pixels of its image; a detector's may lie beyond its edges."""

YALE = "subject"
"""How the files of the Yale faces begin, which lie in one folder: ``subject01.glasses`` is of the person ``subject01``."""

FOUND = Path(__file__).with_name("face_boxes.csv")
"""The faces of ORL and Yale, as dlib's detector of frontal faces found them (HOG, the largest; where it found none, at twice or four times
the size); none in three images."""


@dataclass
class Album:
    """The photographs of a domain in order of people: their ``paths``, and the number (n,) of the person of each among ``people``."""

    people: list[str]
    paths: list[Path]
    labels: Tensor


class Faces(DomainPair):
    """Verification: photographs in ``root/DOMAIN/PERSON``, of whose people some are trained on and all others measured.

    As the Yale faces are distributed, all in one folder as ``subject01.glasses``, they are read too. A batch has faces (n, 3, ``size``,
    ``size``): the square about each box of ``boxes``, beyond the edges of the image its last pixels. People are drawn by the seed. Those
    of the target who are trained on are adapted to without their names; nobody of either domain is trained on and measured.

    Args:
        root: the folder of the domains; by default that of ``TLDA_DATA``, else ``data``.
        source: the folder of the people with names.
        target: the folder of those without.
        size: the height and width that faces are resized to.
        people: the number of people of the source to train on; by default half, or fewer where the folds need the others.
        target_people: the number of people of the target to adapt to, alike.
        folds: see :class:`tlda.tasks.Verification`.
        boxes: the faces, a CSV file with the header ``path,left,top,right,bottom`` and paths as ``DOMAIN/PERSON/FILE``; ``middle`` for the
            middle square of each image. By default those that come with tlda for ``orl_faces`` and ``yale_faces``, which dlib's HOG
            detector of frontal faces found; of other domains the middle square.
        not_found: what an image without a box does: ends the run with its name, or is left out.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a folder that is missing, or has images and no people; a person with one image; too few people; an image without a
            face, or a box outside its image.
    """

    def __init__(
        self,
        root: str | None = None,
        source: str = "orl_faces",
        target: str = "yale_faces",
        size: int = 150,
        people: int | None = None,
        target_people: int | None = None,
        folds: int = 10,
        boxes: str | None = None,
        not_found: Literal["raise", "skip"] = "raise",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if source == target:
            raise UserError(f"--data.source and --data.target are both {source}: people of one folder are split within it, so name another")
        self.root, self.source, self.target, self.size = data_root(root), source, target, require_size(size)
        self.counts = {source: people, target: target_people}
        self.folds, self.boxes, self.not_found = folds, boxes, not_found

    @property
    def task(self) -> Verification:
        trained, _ = self.drawn(self.source)
        return Verification([self.albums[self.source].people[number] for number in trained.tolist()], self.folds)

    @cached_property
    def albums(self) -> dict[str, Album]:
        """The photographs of both domains by name, without those that have no face where these are left out."""
        return {name: self._album(name) for name in (self.source, self.target)}

    def drawn(self, domain: str) -> tuple[Tensor, Tensor]:
        """The numbers of the people of a domain who are trained on, and of those who are measured.

        Raises:
            UserError: too few are left for either.
        """
        people, option = self.albums[domain].people, "people" if domain == self.source else "target_people"
        given = self.counts[domain]
        count = min(len(people) // 2, len(people) - self.folds) if given is None else given
        if count < 1 or len(people) - count < self.folds:
            raise UserError(
                f"'{domain}' has {len(people)} people, of whom {count} are trained on and {len(people) - count} measured, in {self.folds} "
                f"folds of people: set --data.{option} or --data.folds, so that each fold has somebody"
            )
        order = torch.randperm(len(people), generator=torch.Generator().manual_seed(self.seed))
        return order[:count].sort().values, order[count:].sort().values

    def load(self) -> tuple[Domain, Domain]:
        """The faces of both domains. A label is the number of a person, those of training first; the target's training rows have none."""
        return self._domain(self.source, 0), self._domain(self.target, len(self.task.people))

    def _domain(self, name: str, first: int) -> Domain:
        album, parts = self.albums[name], self.drawn(name)
        number = torch.empty(len(album.people), dtype=torch.long)
        number[torch.cat(parts)] = torch.arange(len(album.people))
        labels = number[album.labels] + first
        trained = torch.isin(album.labels, parts[0])
        labelled = name == self.source
        images = self._read(name, labels if labelled else labels.masked_fill(trained, -1))
        train, test = (Subset(images, rows.nonzero().flatten()) for rows in (trained, ~trained))
        return Domain(name, train, test, labelled)

    def _album(self, name: str) -> Album:
        by_person, boxes = people_in(self.root / name), self.given(name)
        missing = [] if boxes is None else [path for paths in by_person.values() for path in paths if self._key(path) not in boxes]
        if missing and self.not_found == "raise":
            raise UserError(f"{missing[0]} has no box in {self._file}: no face was found; add it, or set --data.not_found skip")
        if missing:
            warn(f"{len(missing)} images of '{name}' have no box, and are left out: {missing[0].name} …")
        lacking = set(missing)
        kept = {person: [path for path in paths if path not in lacking] for person, paths in by_person.items()}
        for person, paths in kept.items():
            if len(paths) < 2:
                what = "one image" if paths else "no image"
                raise UserError(
                    f"'{person}' of {self.root / name} has {what} with a face, and a pair is of two: add images, or take it away"
                )
        labels = torch.tensor([number for number, paths in enumerate(kept.values()) for _ in paths])
        return Album(list(kept), [path for paths in kept.values() for path in paths], labels)

    @property
    def _file(self) -> Path:
        return FOUND if self.boxes is None else Path(self.boxes).expanduser()

    def given(self, name: str) -> Mapping[str, Box] | None:
        """The boxes by path of the images of a domain; None where the middle square of each is taken."""
        if self.boxes == "middle":
            return None
        found = {path: box for path, box in read_boxes(self._file).items() if path.startswith(f"{name}/")}
        return found or (None if self.boxes is None else {})

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _read(self, name: str, labels: Tensor) -> Images:
        paths, boxes = self.albums[name].paths, self.given(name) or {}
        states = [(self._key(path), path.stat().st_size, path.stat().st_mtime_ns, boxes.get(self._key(path))) for path in paths]
        entry = f"faces-1-{slug(name)}-{self.size}-{digest([repr(states).encode()])}"

        def read() -> Splits:
            faces = [read_face(path, self.size, boxes.get(self._key(path))) for path in paths]
            return Splits(Images(torch.stack(faces), torch.zeros(len(faces), dtype=torch.long)), None)

        return Images(cached(entry, read).train.images, labels)

    def fingerprint(self) -> str:
        """A hash of all faces and of whose they are, whoever of them the seed draws: runs of several seeds are of the same data."""
        images = (self._read(name, self.albums[name].labels) for name in (self.source, self.target))
        return digest([*(part.digest.encode() for part in images), repr((self.counts, self.folds)).encode()])

    def describe_row(self, row: int) -> str:
        return str(self.albums[self.target].paths[row])


def people_in(folder: Path) -> dict[str, list[Path]]:
    """The images of each person in ``folder``, by name.

    Raises:
        UserError: there is no such folder, nobody in it, or images without people.
    """
    if not folder.is_dir():
        there = subfolders(folder.parent) if folder.parent.is_dir() else []
        raise UserError(f"there is no folder of people {folder}{near(folder.name, there)}")
    people = {name: images for name in subfolders(folder) if (images := image_files(folder / name))}
    if people:
        return dict(sorted(people.items()))
    files = sorted(path for path in folder.iterdir() if path.is_file() and not is_hidden(path.name))
    for path in files:
        if path.name.startswith(YALE) and path.suffix:
            people.setdefault(path.name.partition(".")[0], []).append(path)
    if not people:
        what = "images, and no folders of people" if image_files(folder) else "no images"
        raise UserError(f"{folder} has {what}: put the images of each person into a folder of its name, {folder / 'PERSON'}")
    return people


def read_boxes(file: Path) -> dict[str, Box]:
    """The boxes of a CSV file ``path,left,top,right,bottom``, by path.

    Raises:
        UserError: there is no such file, or a line that is no box.
    """
    if not file.is_file():
        raise UserError(f"there is no file of boxes {file}: give --data.boxes a CSV file path,left,top,right,bottom, or middle")
    boxes: dict[str, Box] = {}
    with file.open(newline="", encoding="utf-8") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            try:
                left, top, right, bottom = (float(row[side]) for side in ("left", "top", "right", "bottom"))
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(
                    f"line {number} of {file} is no box: it needs numbers left, top, right and bottom after the path"
                ) from error
            if not (right > left and bottom > top):
                raise UserError(f"the box in line {number} of {file} is empty: right must be more than left, and bottom more than top")
            boxes[str(row["path"])] = left, top, right, bottom
    return boxes


def read_face(path: Path, size: int, box: Box | None) -> Tensor:
    """The square about ``box`` of an image, resized: bytes (3, size, size); without a box the middle square.

    Raises:
        UserError: the file is damaged; the box lies outside the image.
    """
    from PIL import Image

    with reading(path):
        image = decode(path)
    width, height = image.size
    shorter = min(width, height)
    middle = (width - shorter) / 2, (height - shorter) / 2, (width + shorter) / 2, (height + shorter) / 2
    left, top, right, bottom = box or middle
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise UserError(
            f"the box of {path} lies outside its {width} x {height} pixels: mend it, or take it away with --data.not_found skip"
        )
    side = max(1, round(max(right - left, bottom - top)))
    columns, rows = (np.arange(side) + round((first + last - side) / 2) for first, last in ((left, right), (top, bottom)))
    square = np.asarray(image)[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    return pixels(Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR))
