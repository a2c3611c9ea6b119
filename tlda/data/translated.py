"""Data sets that ``tlda translate`` wrote: a source in the look of a target, row by row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.data.arrays import RECENT, Images, Splits, digest
from tlda.data.files import pixels, reading
from tlda.data.rows import Domain, Over, digest_of
from tlda.errors import UserError

VERSION = 1
"""The version of the layout."""

PROTOCOL, MANIFEST = "protocol.json", "manifest.csv"
"""What a folder holds beside the images: how they were made, and, once all are there, each one's hash."""

COLUMNS = ("file", "split", "row", "label", "blake2b")


@dataclass
class Translated:
    """Translated images in the source's batches.

    Args:
        folder: what ``tlda translate`` wrote, from this source; null for none.
        share: the share of a batch's source images that are translated; the others are as they were.
    """

    folder: str | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"--data.translated.share is {self.share}: it is a share of the source's images, above 0 and at most 1")


def hash_of(data: bytes) -> str:
    """The hash of a file, 32 hexadecimal digits."""
    return blake2b(data, digest_size=16).hexdigest()


def read_protocol(folder: Path) -> dict[str, Any]:
    """How the images in ``folder`` were made.

    Raises:
        UserError: there is no such data set, or it is unfinished.
    """
    if not (folder / PROTOCOL).is_file():
        raise UserError(f"{folder} is no translated data set: it has no {PROTOCOL}; name a folder that `tlda translate` wrote")
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} is unfinished: it has no {MANIFEST}; run the same `tlda translate` again, which goes on where it ended")
    with reading(folder / PROTOCOL, "run `tlda translate` again"):
        found: dict[str, Any] = json.loads((folder / PROTOCOL).read_text(encoding="utf-8"))
        if found["version"] != VERSION:
            raise UserError(f"{folder} has version {found['version']} of the layout, and this is version {VERSION}: translate again")
    return found


def read_splits(folder: Path) -> Splits:
    """The training images in ``folder``, and its test images where the source has some, each checked against its hash."""
    manifest = folder / MANIFEST
    return RECENT.get((manifest.resolve(), manifest.stat().st_mtime_ns), lambda: _read(folder))


def _read(folder: Path) -> Splits:
    with reading(folder / MANIFEST, "translate again, into another folder"), (folder / MANIFEST).open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
        if not lines or set(lines[0]) != set(COLUMNS):
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
    parts = {split: [line for line in lines if line["split"] == split] for split in ("train", "test")}
    train, test = (_images(folder, rows) if rows else None for rows in parts.values())
    if train is None:
        raise UserError(f"{folder} has no training images: translate again, into another folder")
    return Splits(train, test)


def _images(folder: Path, lines: list[dict[str, str]]) -> Images:
    lines = sorted(lines, key=lambda line: int(line["row"]))
    images = torch.stack(list(_decoded(folder, lines)))
    return Images(images, torch.tensor([int(line["label"]) for line in lines]))


def _decoded(folder: Path, lines: list[dict[str, str]]) -> Iterator[Tensor]:
    from io import BytesIO

    from PIL import Image

    for line in lines:
        path = folder / line["file"]
        with reading(path, "delete it and its folder's manifest, and translate again"):
            data = path.read_bytes()
            if hash_of(data) != line["blake2b"]:
                raise ValueError("its hash is not the manifest's")
            yield pixels(Image.open(BytesIO(data), formats=("PNG",)))


@dataclass
class Mixed(Over):
    """The rows of a data set, of which a share in each batch are replaced by their translations."""

    images: Images
    share: float

    def __getitem__(self, rows: Tensor) -> Sample:
        sample = self.data[rows]
        # A batch is in a random order: its first rows are as good as any.
        count = round(self.share * len(rows))
        translated = self.images.images[rows[:count]]
        if translated.shape[1:] != sample.x.shape[1:]:
            shapes = tuple(translated.shape[1:]), tuple(sample.x.shape[1:])
            raise UserError(f"the translated images are {shapes[0]}, those of the source {shapes[1]}: translate at the size of these data")
        if sample.x.dtype != torch.uint8:
            translated = translated / 255
        return sample._replace(x=torch.cat((translated, sample.x[count:])))

    @cached_property
    def digest(self) -> str:
        """A hash of both, and of the share."""
        return digest((digest_of(self.data).encode(), self.images.digest.encode(), str(self.share).encode()))


def mixed(domain: Domain, translated: Translated | None, batch_size: int) -> Domain:
    """``domain`` with its translations in its rows, which come in batches of ``batch_size``.

    Raises:
        UserError: the folder is not a finished translation of these very rows, or no image of a batch would be translated.
    """
    if translated is None or translated.folder is None:
        return domain
    if not round(translated.share * batch_size):
        raise UserError(f"--data.translated.share {translated.share} of {batch_size} source images in a batch is less than one: raise it")
    folder = Path(translated.folder)
    rows = {"train": domain.train, "test": domain.test}
    if read_protocol(folder)["rows"] != {name: digest_of(split) for name, split in rows.items() if split is not None}:
        raise UserError(f"{folder} was translated from other images than the domain '{domain.name}': translate these, at this size")
    train, test = read_splits(folder)
    share = translated.share
    return replace(domain, train=Mixed(domain.train, train, share), test=domain.test and test and Mixed(domain.test, test, share))
