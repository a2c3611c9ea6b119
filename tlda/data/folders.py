"""Anyone's images, in a folder a domain and a folder a class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from torch import Tensor

from tlda.batch import ONE_DOMAIN, Sample
from tlda.data.arrays import digest, require_size
from tlda.data.cache import mapped, size_limit, slug
from tlda.data.files import decode, image_files, pixels, reading
from tlda.data.layouts import Classes, Found, Layout, few
from tlda.data.pair import DomainPair
from tlda.data.pooling import require_apart, require_distinct
from tlda.data.progress import progress
from tlda.data.rows import Domain
from tlda.errors import UserError, near
from tlda.tasks import Classification, Task

T = TypeVar("T")

UNKNOWN = -1
"""The label of an image that has none."""


def read_image(path: Path, size: int, turned: bool = True) -> Tensor:
    """Bytes (3, size, size) of an image file, resized with antialiasing; upright, where it is ``turned``.

    Raises:
        UserError: the file is damaged; it names it.
    """
    from PIL import Image

    with reading(path, "mend it, or leave it out by --data.on_error skip"):
        return pixels(decode(path, turned).resize((size, size), Image.Resampling.BILINEAR))


@dataclass
class Files:
    """Image files, decoded a batch at a time, and their classes (n,)."""

    paths: list[Path]
    labels: Tensor
    size: int
    turned: bool = True
    domains: Tensor | None = None
    """The number of the pooled domain of each file, (n,); None where there is one domain."""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(torch.stack([self.read(self.paths[row]) for row in rows.tolist()]), self.labels[rows], rows, self.domain(rows))

    def domain(self, rows: Tensor) -> Tensor:
        """The numbers of the pooled domains of ``rows``."""
        return ONE_DOMAIN if self.domains is None else self.domains[rows]

    def read(self, path: Path) -> Tensor:
        """The image of one of the files, see :func:`read_image`."""
        return read_image(path, self.size, self.turned)

    @cached_property
    def digest(self) -> str:
        """A hash of the files' names below their folder and their sizes, of the classes, and of how the images are read."""
        # Neither folder nor times: a copy on another machine is the same data.
        lines = (f"{path.relative_to(self.folder).as_posix()} {path.stat().st_size} {self.way}\n".encode() for path in self.paths)
        return digest((*lines, self.labels))

    @cached_property
    def content(self) -> str:
        """A hash that any change of an image changes: of the files' names, sizes and times of change, and of how the images are read."""
        # The second time is that of the file's entry, which a program that sets the first one back cannot set.
        states = ((path.relative_to(self.folder).as_posix(), path.stat()) for path in self.paths)
        return digest(f"{name} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {self.way}\n".encode() for name, s in states)

    @property
    def way(self) -> str:
        """How the images are read: the size that they are made, and ``upright`` where they are turned."""
        return f"{self.size} upright" if self.turned else str(self.size)

    @cached_property
    def folder(self) -> Path:
        """The folder that all of them lie in."""
        return Path(os.path.commonpath([path.parent for path in self.paths]))

    def without(self, rows: set[int]) -> Self:
        """All but some rows."""
        kept = [row for row in range(len(self)) if row not in rows]
        domains = None if self.domains is None else self.domains[kept]
        return replace(self, paths=[self.paths[row] for row in kept], labels=self.labels[kept], domains=domains)


@dataclass
class DecodedFiles(Files):
    """Image files that are decoded once, into a memory map in the cache."""

    @cached_property
    def images(self) -> Tensor:
        """Bytes (n, 3, size, size) of all images, decoded where the cache has none.

        Raises:
            UserError: an image is damaged.
        """
        return mapped(f"images/{slug(self.folder.name)}-{self.size}-{self.content}", len(self), self._decode)

    def decode(self) -> None:
        """Decode all images now, where that is not done."""
        _ = self.images

    def _decode(self) -> Iterator[Tensor]:
        images = in_threads(self.read, self.paths)
        while part := list(islice(images, 256)):
            yield torch.stack(part)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(self.images[rows], self.labels[rows], rows, self.domain(rows))


class Folders(DomainPair):
    """Images in ``root/DOMAIN/CLASS``, as bytes (n, 3, size, size); the files of a folder are found at any depth.

    A list ``root/image_list/DOMAIN.txt`` with lines of ``PATH LABEL`` says instead which images take part; the folder of each is
    its class. A target whose images lie directly in ``root/DOMAIN`` has no labels: methods adapt to it and predict it, and it
    is not measured. Files that are no images, and what is hidden, are left alone. A photograph is turned upright, as its camera noted it
    (EXIF); those of a published set (:mod:`tlda.data.objects`) stay as they are stored, as in published results.

    Args:
        root: the folder of the domains; where there is none by that name, the one in ``TLDA_DATA``.
        source: the folder of the domain with labels, or a list of several, whose images are pooled; by default ``source``.
        target: the folder of the domain without; by default ``target``.
        size: the height and width of the images.
        classes: the class folders that take part, in the order of the labels; by default all, by name.
        on_error: what a damaged image does: ends the run with its name, or is left out (which reads each image once first).
        in_memory: decode all images once, at ``size``, into a memory map in the cache; by default where that holds them. Else
            ``num_workers`` decode each batch.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a folder that is missing or empty; domains whose classes differ; a damaged image; the target among several sources;
            a source or a class that is named twice.
    """

    layout: ClassVar[Layout] = Layout("Folders", places=("{}",))
    """The folder of the images."""

    def __init__(
        self,
        root: str | None = None,
        source: list[str | int] | str | int | None = None,
        target: str | int | None = None,
        size: int = 224,
        classes: list[str | int] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        in_memory: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if root is None and not self.layout.homes:
            raise UserError("--data.root is missing: give it the folder that has the domains in it")
        self.root = self.layout.home(root)
        usual, usual_target = self.layout.usual
        given = [usual] if source is None or source == [] else source if isinstance(source, list) else [source]
        self.sources = [self.layout.require(str(name)) for name in given]
        self.source, self.target = "+".join(self.sources), self.layout.require(usual_target if target is None else str(target))
        require_apart(self.sources, [self.target])
        self.classes = None if classes is None else [str(c) for c in classes]
        require_distinct(self.classes or (), "--data.classes")
        self.size, self.on_error, self.in_memory = require_size(size), on_error, in_memory

    @cached_property
    def task(self) -> Task:
        there = {name: list(found.train) for name, found in self.found.items()}
        for name in self.sources:
            if not there[name]:
                raise UserError(f"{self.root / name} has no class folders with images in them: the source needs labels")
        labelled = {name: classes for name, classes in there.items() if classes}
        names = _chosen(self.classes, labelled) if self.classes else self._shared(labelled)
        if len(names) < 2:
            raise UserError(f"{self.root / self.sources[0]} has only one class, {names}: a classifier needs two")
        return Classification(names)

    @cached_property
    def found(self) -> dict[str, Found]:
        """The images of each domain; a domain without labels has no class."""
        return {name: self.layout.find(self.root, name) for name in (*self.sources, self.target)}

    def _shared(self, there: dict[str, list[str]]) -> list[str]:
        first = self.sources[0]
        both = [c for c in there[first] if all(c in classes for classes in there.values())]
        for name, classes in there.items():
            if classes != there[first]:
                only = {first: set(there[first]) - set(classes), name: set(classes) - set(there[first])}
                which = " and ".join(f"only '{domain}' has {few(sorted(names))}" for domain, names in only.items() if names)
                advice = f"give --data.classes [{','.join(both)}]" if len(both) > 1 else "give the class folders the same names"
                raise UserError(f"the class folders of the domains differ: {which}; {advice}")
        return both

    def load(self) -> tuple[Domain, Domain]:
        self._compare_counts()
        parts = [self._parts(self.sources), self._parts([self.target])]
        needed = sum(len(files) for part in parts for files in part if files is not None) * 3 * self.size**2
        kind = DecodedFiles if (needed <= size_limit() if self.in_memory is None else self.in_memory) else Files

        def read(files: Files) -> Files:
            kept = files if self.on_error == "raise" else whole(files)
            return kind(kept.paths, kept.labels, kept.size, kept.turned, kept.domains)

        def domain(name: str, train: Files, test: Files | None) -> Domain:
            return Domain(name, read(train), test and read(test), labelled=bool((train.labels != UNKNOWN).all()))

        return domain(self.source, *parts[0]), domain(self.target, *parts[1])

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for rows in (rows for domain in self.loaded for rows in domain.splits):
            if isinstance(rows, DecodedFiles):
                rows.decode()  # before the processes that load batches share it

    def _compare_counts(self) -> None:
        """Warn of domains that have not the published images, and refuse lists whose images are not there."""
        for name, found in self.found.items():
            if found.missing:
                raise UserError(
                    f"{len(found.missing)} images on the list of '{name}' are not there, the first: {found.missing[0]}; "
                    "get them again, or take the list away to use what is there"
                )
            if short := self.layout.shortfall(name, found.counts):
                warnings.warn(f"{short}; a result on it does not compare with published ones", stacklevel=2)

    def _parts(self, names: list[str]) -> tuple[Files, Files | None]:
        """The images of the domains, pooled: those that train, and those that are kept apart where that is so in each."""
        found = [self.found[name] for name in names]
        if not found[0].train:
            paths = image_files(self.layout.folder(self.root, names[0]))
            return Files(paths, torch.full((len(paths),), UNKNOWN), self.size, self.layout.turned), None
        tests = [part.test for part in found if part.test is not None]
        return self._files([part.train for part in found]), self._files(tests) if len(tests) == len(found) else None

    def _files(self, parts: Sequence[Classes]) -> Files:
        classes = list(enumerate(self.task.label_names))
        found = [(path, label, n) for n, part in enumerate(parts) for label, c in classes for path in part.get(c, ())]
        labels, domains = (torch.tensor([line[column] for line in found], dtype=torch.long) for column in (1, 2))
        return Files([path for path, *_ in found], labels, self.size, self.layout.turned, domains if len(parts) > 1 else None)

    def describe_row(self, row: int) -> str:
        target = self.loaded[1]
        rows: Any = target.train if target.test is None else target.test
        return str(rows.paths[row])


def _chosen(names: list[str], there: dict[str, list[str]]) -> list[str]:
    """``names``, which are classes of each domain."""
    for domain, classes in there.items():
        if missing := [c for c in names if c not in classes]:
            raise UserError(f"the domain '{domain}' has no class '{missing[0]}'{near(missing[0], classes)}")
    return names


def whole(files: Files) -> Files:
    """The files but those that are damaged, which are read once to know them."""

    def damaged(path: Path) -> bool:
        return error_of(path) is not None

    name = f"images/{slug(files.folder.name)}-{files.size}-damaged-{files.content}"
    flags = mapped(name, len(files), lambda: [torch.tensor(list(in_threads(damaged, files.paths)), dtype=torch.uint8)])
    rows = flags.nonzero().flatten().tolist()
    if not rows:
        return files
    first = error_of(files.paths[rows[0]])
    if len(rows) == len(files):
        raise UserError(f"none of {len(rows)} images can be read; the first: {first}")
    warnings.warn(f"{len(rows)} of {len(files)} images are left out; the first: {first}", stacklevel=2)
    return files.without(set(rows))


def error_of(path: Path) -> UserError | None:
    """What :func:`read_image` says of a damaged image."""
    try:
        read_image(path, 1)
    except UserError as error:
        return error
    return None


def in_threads(read: Callable[[Path], T], paths: Sequence[Path]) -> Iterator[T]:
    """``read`` of each path in order, with a bar; a few hundred are read ahead of who takes them."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        groups = (pool.map(read, paths[start : start + 256]) for start in range(0, len(paths), 256))
        yield from progress("reading images", chain.from_iterable(groups), len(paths))
