"""Image files that are brought to one size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from tlda.data.arrays import digest
from tlda.data.cache import mapped, slug
from tlda.data.files import decode, is_turned, pixels, reading
from tlda.data.folders import in_threads
from tlda.errors import warn

PART = 256
"""The images that are decoded before they are written to the cache."""


def warn_of_turned(domain: str, images: Sequence[Path]) -> None:
    """Warn of ``images`` that EXIF turns, as :class:`SizedFiles` reads them as they are stored."""
    if turned := [path for path in images if is_turned(path)]:
        warn(
            f"{len(turned)} images of '{domain}', such as {turned[0]}, are turned by EXIF: masks and boxes are taken as of the pixels as "
            "stored; save them upright if they were drawn on the turned image"
        )


class SizedFiles:
    """The base of rows that are image files, each brought to one ``size`` (height, width), bilinearly and antialiased."""

    images: Sequence[Path]
    size: tuple[int, int]
    kept_in: ClassVar[str] = "masked"
    """The folder of the cache."""

    def __len__(self) -> int:
        return len(self.images)

    def kept(self, kind: str, read: Callable[[int], Tensor]) -> Tensor:
        """What ``read`` gives of each row, (n, ...), from the cache, where it is put first."""
        name = f"{self.kept_in}/{slug(self.folder.name)}-{self.size[0]}x{self.size[1]}-{kind}-{self.content}"
        return mapped(name, len(self), lambda: self._decoded(read))

    def _decoded(self, read: Callable[[int], Tensor]) -> Iterator[Tensor]:
        found = in_threads(read, range(len(self)))
        while part := list(islice(found, PART)):
            yield torch.stack(part)

    def image(self, row: int) -> Tensor:
        """The image of a row, bytes (3, h, w)."""
        from PIL import Image

        path = self.images[row]
        with reading(path):
            image = decode(path, turned=False)
            return pixels(image.resize(self.brought_to(image.size[::-1])[::-1], Image.Resampling.BILINEAR))

    def brought_to(self, own: tuple[int, int]) -> tuple[int, int]:
        """The height and width that a file of its ``own`` ones is brought to."""
        return self.size

    @cached_property
    def folder(self) -> Path:
        """The folder that all of the images lie in."""
        return Path(os.path.commonpath([path.parent for path in self.images]))

    @cached_property
    def digest(self) -> str:
        """A hash of the files' names and sizes, and of how they are read."""
        return digest(line for path in self.files() for line in (f"{path.name} {path.stat().st_size} {self.way}\n".encode(),))

    @cached_property
    def content(self) -> str:
        """A hash that any change of a file changes: of names, sizes and times of change, and of how the files are read."""
        states = ((path.name, path.stat()) for path in self.files())
        return digest(f"{name} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {self.way}\n".encode() for name, s in states)

    @property
    def way(self) -> str:
        """How the files are read, in the hashes."""
        return f"{self.size}"

    def files(self) -> Iterator[Path]:
        """Every file that the rows are read from."""
        yield from self.images
