"""Anyone's images, in a folder a domain and a folder a class."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.data.arrays import RECENT, Images, Splits, digest
from tlda.data.files import decode, image_files, pixels, reading
from tlda.data.pair import Domain, DomainPair, Rows
from tlda.errors import UserError, near

MEMORY = 2**30
"""Below this many bytes, images are decoded once and kept."""

UNKNOWN = -1
"""The label of an image that has none."""


def read_image(path: Path, size: int) -> Tensor:
    """Bytes (3, size, size) of an image file, resized with antialiasing.

    Raises:
        UserError: the file is damaged; it names it.
    """
    from PIL import Image

    with reading(path, "mend it, or leave it out by --data.on_error skip"):
        return pixels(decode(path).resize((size, size), Image.Resampling.BILINEAR))


@dataclass
class Files:
    """Image files, decoded a batch at a time, and their classes (n,)."""

    paths: list[Path]
    labels: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(torch.stack([read_image(self.paths[row], self.size) for row in rows.tolist()]), self.labels[rows], rows)

    @cached_property
    def digest(self) -> str:
        """A hash of the files' names below their folder and their sizes, of the classes, and of the size of the images."""
        # Neither folder nor times: a copy on another machine is the same data.
        folder = os.path.commonpath(self.paths)
        lines = (f"{path.relative_to(folder).as_posix()} {path.stat().st_size} {self.size}\n".encode() for path in self.paths)
        return digest((*lines, self.labels))

    def without(self, rows: set[int]) -> Files:
        """All but some rows."""
        kept = [row for row in range(len(self)) if row not in rows]
        return Files([self.paths[row] for row in kept], self.labels[kept], self.size)


@dataclass
class DecodedFiles(Images):
    """Image files that were decoded into memory."""

    paths: list[Path]


class Folders(DomainPair):
    """Images in ``root/DOMAIN/CLASS``, as bytes (n, 3, size, size); the files of a folder are found at any depth.

    A target whose images lie directly in ``root/DOMAIN`` has no labels: methods adapt to it and predict it, and it is
    not measured. Files that are no images are left alone.

    Args:
        root: the folder of the domains; where there is none by that name, the one in ``TLDA_DATA``.
        source: the folder of the domain with labels; by default ``source``.
        target: the folder of the domain without; by default ``target``.
        size: the height and width of the images.
        classes: the class folders that take part, in the order of the labels; by default all, by name.
        on_error: what a damaged image does: ends the run with its name, or is left out (which reads each image once first).
        in_memory: decode all images once; by default where they take less than a gibibyte. Else ``num_workers`` decode each batch.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a folder that is missing or empty; domains whose classes differ; a damaged image.
    """

    def __init__(
        self,
        root: str,
        source: str | None = None,
        target: str | None = None,
        size: int = 224,
        classes: list[str | int] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        in_memory: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root, self.source, self.target = _root(root), source or "source", target or "target"
        self.classes = None if classes is None else [str(c) for c in classes]
        self.size, self.on_error, self.in_memory = size, on_error, in_memory

    @cached_property
    def class_names(self) -> list[str]:
        source, target = (list(self.files[name]) for name in (self.source, self.target))
        if not source:
            raise UserError(f"{self.root / self.source} has no class folders with images in them: the source needs labels")
        names = self._chosen(source, target) if self.classes else self._shared(source, target)
        if len(names) < 2:
            raise UserError(f"{self.root / self.source} has only one class, {names}: a classifier needs two")
        return names

    @cached_property
    def files(self) -> dict[str, dict[str, list[Path]]]:
        """By domain, the images of each class folder that has some; a domain without labels has no class folder."""
        return {name: self._by_class(self._folder(name)) for name in (self.source, self.target)}

    def _by_class(self, folder: Path) -> dict[str, list[Path]]:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        files = {name: found for name in names if (found := image_files(folder / name))}
        if not files and not image_files(folder):
            raise UserError(f"there is no image in {folder}; put them in {folder / 'CLASS'}")
        return files

    def _folder(self, name: str) -> Path:
        if not self.root.is_dir():
            raise UserError(f"there is no folder {self.root}; give --data.root the folder that has the domains in it")
        folder = self.root / name
        if not folder.is_dir():
            domains = [entry.name for entry in self.root.iterdir() if entry.is_dir()]
            raise UserError(f"there is no domain folder {folder}{near(name, domains) if domains else '; the root has no folders'}")
        return folder

    def _chosen(self, source: list[str], target: list[str]) -> list[str]:
        assert self.classes is not None
        for name, there in ((self.source, source), (self.target, target or source)):
            if missing := [c for c in self.classes if c not in there]:
                raise UserError(f"the domain '{name}' has no class '{missing[0]}'{near(missing[0], there)}")
        return self.classes

    def _shared(self, source: list[str], target: list[str]) -> list[str]:
        if target and source != target:
            only = {self.source: set(source) - set(target), self.target: set(target) - set(source)}
            which = " and ".join(f"only '{name}' has {_few_names(names)}" for name, names in only.items() if names)
            both = [c for c in source if c in target]
            advice = f"give --data.classes [{','.join(both)}]" if len(both) > 1 else "give the class folders the same names"
            raise UserError(f"the class folders of the domains differ: {which}; {advice}")
        return source

    def load(self) -> tuple[Domain, Domain]:
        files = [self._rows(name) for name in (self.source, self.target)]
        small = sum(map(len, files)) * 3 * self.size**2 < MEMORY
        read = _decoded if (small if self.in_memory is None else self.in_memory) else _checked
        source, target = (
            Domain(name, read(f, self.on_error), labelled=bool((f.labels != UNKNOWN).all()))
            for name, f in zip((self.source, self.target), files, strict=True)
        )
        return source, target

    def _rows(self, name: str) -> Files:
        if not self.files[name]:
            paths = image_files(self.root / name)
            return Files(paths, torch.full((len(paths),), UNKNOWN), self.size)
        found = [(path, label) for label, c in enumerate(self.class_names) for path in self.files[name][c]]
        return Files([path for path, _ in found], torch.tensor([label for _, label in found]), self.size)

    def describe_row(self, row: int) -> str:
        rows: Any = self.loaded[1].train
        return str(rows.paths[row])


def _root(root: str) -> Path:
    path = Path(root).expanduser()
    elsewhere = Path(os.environ.get("TLDA_DATA") or "data", path)
    return elsewhere if elsewhere.is_dir() and not path.is_dir() else path


def _few_names(names: set[str], most: int = 8) -> str:
    shown = sorted(names)[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _checked(files: Files, on_error: str) -> Rows:
    """The files, less those that are damaged where these are to be left out."""
    return files if on_error == "raise" else files.without(_read_all(files, on_error, lambda row, image: None))


def _decoded(files: Files, on_error: str) -> Rows:
    """The files in memory, less those that are damaged where these are to be left out."""

    def decode_all() -> Splits:
        images = torch.empty(len(files), 3, files.size, files.size, dtype=torch.uint8)
        damaged = _read_all(files, on_error, images.__setitem__)
        kept = files.without(damaged)
        images = images[[row for row in range(len(files)) if row not in damaged]] if damaged else images
        return Splits(DecodedFiles(images, kept.labels, kept.paths), None)

    changed = max(path.stat().st_mtime_ns for path in files.paths)
    return RECENT.get((tuple(files.paths), changed, files.digest, on_error), decode_all).train


def _read_all(files: Files, on_error: str, keep: Callable[[int, Tensor], None]) -> set[int]:
    """Read each file once, in threads, and return the rows that are damaged."""

    def read(row: int) -> UserError | None:
        try:
            keep(row, read_image(files.paths[row], files.size))
        except UserError as error:
            if on_error == "raise":
                raise
            return error
        return None

    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        errors = list(_progress(pool.map(read, range(len(files))), len(files)))
    finally:
        pool.shutdown(cancel_futures=True)
    return _left_out(errors)


def _left_out(errors: Sequence[UserError | None]) -> set[int]:
    damaged = {row: error for row, error in enumerate(errors) if error is not None}
    if len(damaged) == len(errors):
        raise UserError(f"none of {len(errors)} images can be read; the first: {errors[0]}")
    if damaged:
        first = next(iter(damaged.values()))
        warnings.warn(f"{len(damaged)} of {len(errors)} images are left out; the first: {first}", stacklevel=2)
    return set(damaged)


def _progress(results: Any, total: int) -> Any:
    from rich.console import Console
    from rich.progress import track

    console = Console(file=sys.stderr)
    return track(results, "reading images", total=total, console=console, transient=True, disable=not console.is_terminal)
