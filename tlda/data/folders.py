"""Anyone's images, in a folder a domain and a folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import torch
from torch import Tensor

from tlda.batch import ONE_DOMAIN, Sample
from tlda.data.arrays import digest, require_size
from tlda.data.augment import RandomResizedCrop, RandomWindow
from tlda.data.cache import mapped, size_limit, slug
from tlda.data.class_sets import require_disjoint
from tlda.data.crops import Ragged, viewed
from tlda.data.files import decode, image_files, pixels, reading, shape_of
from tlda.data.layouts import Classes, Found, Layout, few
from tlda.data.pair import DomainPair
from tlda.data.pooling import require_apart
from tlda.data.progress import progress
from tlda.data.rows import Domain, New
from tlda.errors import UserError, near, warn
from tlda.options.recorded import Plain
from tlda.tasks import Classification, Task

S = TypeVar("S")
T = TypeVar("T")

UNKNOWN = -1
"""The label of an image that has none."""

ADVICE = "mend it, or leave it out by --data.on_error skip"
"""What to do about an image that is damaged."""


def read_image(path: Path, size: int, turned: bool = True, shorter: bool = False) -> Tensor:
    """Bytes (3, h, w) of an image file, resized with antialiasing; upright, where it is ``turned``.

    Height and width are ``size``, which squashes what is not square; where it is the ``shorter`` side alone, the aspect ratio is kept.

    Raises:
        UserError: the file is damaged; it names it.
    """
    from PIL import Image

    with reading(path, ADVICE):
        image = decode(path, turned)
        height, width = scaled(image.height, image.width, size) if shorter else (size, size)
        return pixels(image.resize((width, height), Image.Resampling.BILINEAR))


def scaled(height: int, width: int, size: int) -> tuple[int, int]:
    """The height and width whose shorter one is ``size``, of the same aspect ratio, rounded as torchvision's ``Resize`` rounds."""
    return (size, int(size * width / height)) if height <= width else (int(size * height / width), size)


@dataclass
class Files:
    """Image files, decoded a batch at a time, and their classes (n,)."""

    paths: list[Path]
    labels: Tensor
    size: int
    turned: bool = True
    domains: Tensor | None = None
    """The number of the pooled domain of each file, (n,); None where there is one domain."""
    shorter: bool = False
    """Whether ``size`` is that of the shorter side alone, see :func:`read_image`."""
    crop: int | None = None
    """The side of the square that is cut out of each image as the current view has it, see :func:`tlda.data.crops.viewed`."""

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Tensor) -> Sample:
        inputs: Any = self.inputs(rows)
        return Sample(inputs, self.labels[rows], rows, self.domain(rows))

    def inputs(self, rows: Tensor) -> Tensor | Ragged:
        """The images of ``rows``, cut as the current view has them."""
        return viewed([self.read(self.paths[row]) for row in rows.tolist()], self.crop)

    def domain(self, rows: Tensor) -> Tensor:
        """The numbers of the pooled domains of ``rows``."""
        return ONE_DOMAIN if self.domains is None else self.domains[rows]

    def read(self, path: Path) -> Tensor:
        """The image of one of the files, see :func:`read_image`."""
        return read_image(path, self.size, self.turned, self.shorter)

    @cached_property
    def shapes(self) -> Tensor:
        """The heights and widths (n, 2) of the images as they are read, for which the files' headers are read once.

        Raises:
            UserError: an image is damaged.
        """
        if not self.shorter:
            return torch.tensor([[self.size, self.size]]).expand(len(self), 2)
        return mapped(self.entry("shapes"), len(self), lambda: [torch.tensor(list(in_threads(self._shape, self.paths)))])

    def _shape(self, path: Path) -> tuple[int, int]:
        with reading(path, ADVICE):
            return scaled(*shape_of(path, self.turned), self.size)

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
        """How the images are read: the size that they are made, ``upright`` where they are turned, and the crop."""
        parts = ("shorter side" * self.shorter, str(self.size), "upright" * self.turned, f"crop {self.crop}" * (self.crop is not None))
        return " ".join(part for part in parts if part)

    def entry(self, kind: str = "") -> str:
        """The name in the cache of what is known of the whole images, which every crop has in common."""
        whole = self.content if self.crop is None else replace(self, crop=None).content
        return "-".join(part for part in (f"images/{slug(self.folder.name)}", str(self.size), kind, whole) if part)

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
        """Bytes (n, 3, size, size) of all images, decoded where the cache has none; one after the other where their shapes differ.

        Raises:
            UserError: an image is damaged.
        """
        return mapped(self.entry(), 3 * int(self.shapes.prod(1).sum()) if self.shorter else len(self), self._decode)

    @cached_property
    def _starts(self) -> Tensor:
        """The place of the first byte of each image whose shape is its own, (n,)."""
        sizes = 3 * self.shapes.prod(1)
        return sizes.cumsum(0) - sizes

    def decode(self) -> None:
        """Decode all images now, where that is not done."""
        _ = self.images

    def _decode(self) -> Iterator[Tensor]:
        images = in_threads(self.read, self.paths)
        while part := list(islice(images, 256)):
            yield torch.cat([image.flatten() for image in part]) if self.shorter else torch.stack(part)

    def inputs(self, rows: Tensor) -> Tensor | Ragged:
        if self.crop is None:
            return self.images[rows]
        return viewed([self._image(row) for row in rows.tolist()], self.crop)

    def _image(self, row: int) -> Tensor:
        if not self.shorter:
            return self.images[row]
        start, (height, width) = int(self._starts[row]), self.shapes[row].tolist()
        return self.images[start : start + 3 * height * width].view(3, height, width)


class Folders(DomainPair):
    """Images in ``root/DOMAIN/CLASS``, as bytes (n, 3, h, w); the files of a folder are found at any depth.

    A list ``root/image_list/DOMAIN.txt`` with lines of ``PATH LABEL`` says instead which images take part; the folder of each is
    its class. A target whose images lie directly in ``root/DOMAIN`` has no labels: methods adapt to it and predict it, and it
    is not measured. Files that are no images, and what is hidden, are left alone. A photograph is turned upright, as its camera noted it
    (EXIF); those of a published set (:mod:`tlda.data.objects`) stay as they are stored, as in published results.

    Args:
        root: the folder of the domains; where there is none by that name, the one in ``TLDA_DATA``.
        source: the folder of the domain with labels, or a list of several, whose images are pooled; by default ``source``.
        target: the folder of the domain without, or a list of several: a method adapts to all, and a test measures each; by default
            ``target``.
        size: the height and width that images are resized to, which squashes those that are not square.
        resize: the shorter side that images are resized to instead, at their own aspect ratio; it needs ``crop``.
        crop: the side of the square that is cut out of the resized images: in training anywhere (or by the augmentation that cuts, such as
            ``RandomResizedCrop``), elsewhere in the middle. ``size: 256``, ``crop: 224`` is what authors of domain adaptation do
            (TLLib's ``ResizeImage`` squashes), ``resize: 256``, ``crop: 224`` what ImageNet's do.
        ten_crop: test and predict by the mean probabilities of ten crops: the corners and the middle, and their mirror images.
        classes: the class folders of both domains, in the order of the labels; by default all, by name, but those that are private to one.
        on_error: what a damaged image does: ends the run with its name, or is left out (which reads each image once first).
        in_memory: decode all images once, at ``size`` or ``resize``, into a memory map in the cache; by default where that holds them. Else
            ``num_workers`` decode each batch.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a folder that is missing or empty; domains whose classes differ; a damaged image; the target among several sources;
            a source or a class that is named twice; sizes and crops that do not go together.
    """

    layout: ClassVar[Layout] = Layout("Folders", places=("{}",))
    """The folder of the images."""

    def __init__(
        self,
        root: str | None = None,
        source: list[str | int] | str | int | None = None,
        target: list[str | int] | str | int | None = None,
        size: int = 224,
        classes: list[str | int] | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        in_memory: bool | None = None,
        resize: int | None = None,
        crop: int | None = None,
        ten_crop: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if root is None and not self.layout.homes:
            raise UserError("--data.root is missing: give it the folder that has the domains in it")
        self.root = self.layout.home(root)
        usual, usual_target = self.layout.usual
        self.sources, self.targets = (
            [self.layout.require(str(name)) for name in (given if isinstance(given, list) else [given])]
            for given in (usual if source in (None, []) else source, usual_target if target in (None, []) else target)
        )
        self.source, self.target = "+".join(self.sources), "+".join(self.targets)
        require_apart(self.sources, self.targets)
        self.classes = None if classes is None else [str(c) for c in classes]
        require_disjoint({"classes": self.classes or [], "source_private": self.source_private, "target_private": self.target_private})
        self.size, self.on_error, self.in_memory = require_size(size), on_error, in_memory
        self.resize, self.crop, self.ten_crop = resize, crop, ten_crop
        self._require_crops()
        self.window = None if crop is None else RandomWindow(crop)

    def _require_crops(self) -> None:
        """Refuse sizes, crops and augmentations that do not go together."""
        if self.resize is not None:
            require_size(self.resize, "resize", "the shorter side of the images")
            if self.crop is None:
                raise UserError("--data.resize keeps the aspect ratio of each image, and a batch has one shape: give --data.crop too")
        if self.crop is None:
            if self.ten_crop:
                raise UserError("--data.ten_crop cuts ten squares out of each image: give --data.crop, their side")
        elif not 1 <= self.crop <= (self.resize or self.size):
            whole = f"--data.size is {self.size}" if self.resize is None else f"--data.resize is {self.resize}"
            raise UserError(f"--data.crop is {self.crop}, and {whole}: a crop is 1 pixel or more, and lies within the image")
        elif self.translated is not None and self.translated.folder is not None:
            raise UserError("--data.translated replaces whole images, and --data.crop cuts them: give --data.size alone")
        side = self.crop or self.size
        for change in self.augment:
            if isinstance(change, RandomResizedCrop | RandomWindow) and change.size != side:
                raise UserError(f"{type(change).__name__} trains on images of {change.size}, and tests see {side}: give both one size")

    @cached_property
    def task(self) -> Task:
        """The classification of the class folders that take part: those of ``classes``, or those of all labelled domains."""
        there = {name: list(found.train) for name, found in self.found.items()}
        for name in self.sources:
            if not there[name]:
                raise UserError(f"{self.root / name} has no class folders with images in them: the source needs labels")
        labelled = {name: classes for name, classes in there.items() if classes}
        for name, option in ((self.sources[0], "source_private"), (self.targets[0], "target_private")):
            if getattr(self, option) and name in labelled:
                _chosen(getattr(self, option), {name: labelled[name]}, option)
        names = _chosen(self.classes, labelled) if self.classes else self._shared(labelled)
        if len(names) + len(self.source_private) < 2:
            raise UserError(f"{self.root / self.sources[0]} has only one class, {names}: a classifier needs two")
        task = self.classification([*names, *self.source_private, *self.target_private], shared=names)
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    @property
    def renamed(self) -> Mapping[str, str]:
        return self.layout.renamed

    @cached_property
    def found(self) -> dict[str, Found]:
        """The images of each domain; a domain without labels has no class."""
        return {name: self.layout.find(self.root, name) for name in (*self.sources, *self.targets)}

    def _shared(self, labelled: dict[str, list[str]]) -> list[str]:
        first = self.sources[0]
        every = {*self.source_private, *self.target_private}
        there = {name: [c for c in classes if c not in every] for name, classes in labelled.items()}
        both = [c for c in there[first] if all(c in classes for classes in there.values())]
        for name, classes in there.items():
            if classes != there[first]:
                only = {first: set(there[first]) - set(classes), name: set(classes) - set(there[first])}
                which = " and ".join(f"only '{domain}' has {few(sorted(names))}" for domain, names in only.items() if names)
                advice = f"give --data.classes [{','.join(both)}]" if len(both) > 1 else "give the class folders the same names"
                raise UserError(
                    f"the class folders of the domains differ: {which}; {advice}, or say whose they are by --data.source_private and "
                    "--data.target_private"
                )
        return both

    def load(self) -> tuple[Domain, Domain]:
        """The images of both domains, kept decoded where they fit into the cache, or read when they are asked for."""
        self._compare_counts()
        parts = [self._parts(names) for names in (self.sources, self.targets)]
        if self.on_error == "skip":
            parts = [(whole(train), test and whole(test)) for train, test in parts]
        kind = DecodedFiles if self._fits([files for part in parts for files in part if files is not None]) else Files

        def read(files: Files) -> Files:
            return kind(**{field.name: getattr(files, field.name) for field in fields(files)})

        def domain(name: str, train: Files, test: Files | None) -> Domain:
            return Domain(name, read(train), test and read(test), labelled=bool((train.labels != UNKNOWN).all()))

        return domain(self.source, *parts[0]), domain(self.target, *parts[1])

    def _fits(self, parts: list[Files]) -> bool:
        """Whether the decoded images are kept in the cache."""
        if self.in_memory is not None:
            return self.in_memory
        return sum(3 * int(files.shapes.prod(1).sum()) for files in parts) <= size_limit()

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for rows in (rows for domain in self.as_read for rows in domain.splits):
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
                warn(f"{short}; a result on it does not compare with published ones")

    def _parts(self, names: Sequence[str]) -> tuple[Files, Files | None]:
        """The images of the domains, pooled: those that train, and those that are kept apart where that is so in each."""
        found = [self.found[name] for name in names]
        if not all(part.train for part in found):
            return self._unlabelled(names, [name for name, part in zip(names, found, strict=True) if part.train]), None
        tests = [part.test for part in found if part.test is not None]
        return self._files([part.train for part in found]), self._files(tests) if len(tests) == len(found) else None

    def _unlabelled(self, names: Sequence[str], labelled: list[str]) -> Files:
        """The images of domains without labels, of which none is ``labelled``."""
        if labelled:
            raise UserError(f"'{labelled[0]}' has class folders, and not all of --data.target have: measure it by itself")
        paths = [(path, n) for n, name in enumerate(names) for path in image_files(self.layout.folder(self.root, name))]
        domains = torch.tensor([n for _, n in paths])
        return self._read_as([path for path, _ in paths], torch.full((len(paths),), UNKNOWN), domains if len(names) > 1 else None)

    def _files(self, parts: Sequence[Classes]) -> Files:
        assert isinstance(self.task, Classification)  # by which the sets are made
        classes = list(enumerate(self.sets.names))
        found = [(path, label, n) for n, part in enumerate(parts) for label, c in classes for path in part.get(c, ())]
        labels, domains = (torch.tensor([line[column] for line in found], dtype=torch.long) for column in (1, 2))
        return self._read_as([path for path, *_ in found], labels, domains if len(parts) > 1 else None)

    def _read_as(self, paths: list[Path], labels: Tensor, domains: Tensor | None = None) -> Files:
        """Files that are read as the options say."""
        size, shorter = self.resize or self.size, self.resize is not None
        return Files(paths, labels, size, self.layout.turned, domains, shorter, self.crop)

    def read_new(self, place: str, fitted: Plain) -> New:
        paths = new_images(place)
        files = self._read_as(paths, torch.full((len(paths),), UNKNOWN))
        files = files if self.on_error == "raise" else whole(files)
        return New(files, [str(path) for path in files.paths])

    def describe_row(self, row: int) -> str:
        target = self.as_read[1]
        rows: Any = target.train if target.test is None else target.test
        return str(rows.paths[row])


def new_images(place: str) -> list[Path]:
    """The image at ``place``, or those at any depth in it, by name.

    Raises:
        UserError: there is none.
    """
    path = Path(place).expanduser()
    found = [path] if path.is_file() else image_files(path)
    if not found:
        raise UserError(f"there is no image in {place}: give --inputs a folder with images at any depth, or an image")
    return found


def _chosen(names: list[str], there: dict[str, list[str]], option: str = "classes") -> list[str]:
    """``names``, which ``option`` gives and which are classes of each domain."""
    for domain, classes in there.items():
        if missing := [c for c in names if c not in classes]:
            said = "" if option == "classes" else f", which --data.{option} names"
            raise UserError(f"the domain '{domain}' has no class '{missing[0]}'{said}{near(missing[0], classes)}")
    return names


def whole(files: Files) -> Files:
    """The files but those that are damaged, which are read once to know them."""

    def damaged(path: Path) -> bool:
        return error_of(path) is not None

    flags = mapped(files.entry("damaged"), len(files), lambda: [torch.tensor(list(in_threads(damaged, files.paths)), dtype=torch.uint8)])
    rows = flags.nonzero().flatten().tolist()
    if not rows:
        return files
    first = error_of(files.paths[rows[0]])
    if len(rows) == len(files):
        raise UserError(f"none of {len(rows)} images can be read; the first: {first}")
    warn(f"{len(rows)} of {len(files)} images are left out; the first: {first}")
    return files.without(set(rows))


def error_of(path: Path) -> UserError | None:
    """What :func:`read_image` says of a damaged image."""
    try:
        read_image(path, 1)
    except UserError as error:
        return error
    return None


def in_threads(read: Callable[[S], T], paths: Sequence[S]) -> Iterator[T]:
    """``read`` of each path in order, with a bar; a few hundred are read ahead of who takes them."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        groups = (pool.map(read, paths[start : start + 256]) for start in range(0, len(paths), 256))
        yield from progress("reading images", chain.from_iterable(groups), len(paths))
