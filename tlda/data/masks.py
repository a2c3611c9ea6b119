"""Anyone's images with masks: the class of every pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from tlda.batch import Sample, Unlabelled
from tlda.data.arrays import require_size
from tlda.data.files import image_files
from tlda.data.folders import new_images
from tlda.data.layouts import data_root
from tlda.data.masked_files import VOID, MaskedFiles, Value
from tlda.data.pair import Augment, DomainPair, OneDomain
from tlda.data.pooling import Name, require_apart
from tlda.data.rows import Domain, New, Pooled
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Segmentation, Task

Colour = list[int]
"""Red, green and blue, 0 to 255."""

Files = Sequence[tuple[Path, Path | None]]
"""Images, each with its mask where it has one."""


class Masks(DomainPair):
    """Images in ``root/DOMAIN/images``, and masks of the same names in ``root/DOMAIN/masks``: an image in which a pixel's value is its
    class.

    A domain with a folder ``test`` trains on the images of ``root/DOMAIN/train``, and is measured on those of ``root/DOMAIN/test``, either
    with the two folders in it. A target without a folder of masks has no labels: methods adapt to it and predict it, and it is not
    measured. Augmentations that move an image move its mask alike. Metrics are of all pixels of the masks at ``size``.

    Args:
        root: the folder of the domains; where there is none by that name, the one in ``TLDA_DATA``.
        source: the domain with labels, or a list of several, whose images are pooled; by default ``source``.
        target: the domain without; by default ``target``.
        classes: the names of the classes whose pixels have the numbers 0, 1 and so on, or the number or the colour ``[r, g, b]`` of each
            by name.
        void: the numbers or colours of pixels without a class.
        size: the height and width that images and masks are brought to, or one number for both.
        stride: the distance of two positions with a label in pixels, which is that of the backbone :class:`tlda.backbones.Dense`.
        max_rows: see :class:`tlda.tasks.Segmentation`.
        images: the name of the folders of images.
        masks: the name of the folders of masks.
        eval_batch_size: the images of a batch where nothing is trained, whose logits of all pixels are in memory at once.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a folder that is missing or empty; an image without a mask, or the reverse; a mask whose size is not its image's, which
            has more than 8 bits, or a value that stands for nothing; a size that is no multiple of the stride; an augmentation that does
            not say whether it moves what is in an image.
    """

    known_domains: ClassVar[Sequence[str]] = ()
    """The names of the domains, where they are known."""

    def __init__(
        self,
        root: str | None = None,
        source: list[Name] | Name | None = None,
        target: Name | None = None,
        classes: list[Name] | dict[str, int | Colour] | None = None,
        void: list[int | Colour] | None = None,
        size: list[int] | int = 256,
        stride: int = 4,
        max_rows: int | None = 512,
        images: str = "images",
        masks: str = "masks",
        eval_batch_size: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(eval_batch_size=eval_batch_size, **kwargs)
        given = source if isinstance(source, list) else ["source" if source is None else source]
        self.sources, self.target = [str(name) for name in given], "target" if target is None else str(target)
        require_apart(self.sources, [self.target])
        self.source, self.root = "+".join(self.sources), data_root(root)
        self.names, self.values = _values(classes, void or [])
        self.size, self.stride, self.max_rows = _size(size, stride), stride, max_rows
        self.folders = images, masks

    @cached_property
    def task(self) -> Task:
        """The segmentation into the classes."""
        task = Segmentation(self.names, max_rows=self.max_rows)
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def load(self) -> tuple[Domain, Domain]:
        """The sources, pooled where there are several, and the target, each with its rows to train on and to measure."""
        found = [self.find(name) for name in self.sources]
        tests = [test for _, test in found if test]
        source = self._pooled([train for train, _ in found]), self._pooled(tests) if tests else None
        train, test = self.find(self.target)
        target = self._rows(train), self._rows(test) if test else None
        return Domain(self.source, *source), Domain(self.target, *target, labelled=all(mask is not None for _, mask in train))

    def _pooled(self, parts: Sequence[Files]) -> MaskedFiles | Pooled:
        rows = [self._rows(part) for part in parts]
        return Pooled(rows) if len(rows) > 1 else rows[0]

    def _rows(self, files: Files) -> MaskedFiles:
        return MaskedFiles([image for image, _ in files], [mask for _, mask in files], self.size, self.values)

    def find(self, name: str) -> tuple[Files, Files | None]:
        """The training files of the domain ``name``, and its test files where they are kept apart."""
        folder = self.root / name
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: set --data.root, --data.source and --data.target to where the images are")
        found = files_of(folder, *self.folders, name == self.target and name not in self.sources)
        return found[0], found[1] if len(found) > 1 else None

    def read_new(self, place: str, fitted: Plain) -> New:
        paths = new_images(place)
        return New(self._rows([(path, None) for path in paths]), [str(path) for path in paths])

    def describe_row(self, row: int) -> str:
        rows: Any = self.loaded[1].train if self.loaded[1].test is None else self.loaded[1].test
        return str(rows.images[row])

    # A training batch

    def apply(self, change: Augment, domains: Sequence[OneDomain]) -> list[OneDomain]:
        """Change the images, and the labels of their positions with them where the change moves what is in an image."""
        if change.moves is None:
            raise UserError(
                f"{type(change).__name__} does not say whether it moves what is in an image, which its mask would have to follow: give "
                "augmentations one by one, or set `moves` in a class of your own"
            )
        return [_moved(change, domain) for domain in domains] if change.moves else super().apply(change, domains)

    def _changed(self, batch: Any, training: bool) -> Any:
        changed = super()._changed(batch, training)
        return type(changed)(*map(self._as_rows, changed))

    def as_trained(self, batch: OneDomain) -> OneDomain:
        rows: OneDomain = self._as_rows(super().as_trained(batch))
        return rows

    def _as_rows(self, domain: Any) -> Any:
        """A batch of one domain whose rows are positions: the label of each is that of the pixel in its middle."""
        height, width = (length // self.stride for length in domain.x.shape[-2:])
        positions = torch.arange(height * width, device=domain.row.device)
        row = (domain.row[:, None] * len(positions) + positions).flatten()
        changed = domain._replace(row=row, domain=domain.domain.expand(len(domain.x)).repeat_interleave(len(positions)))
        if isinstance(domain, Unlabelled):
            return changed
        middle = slice(self.stride // 2, None, self.stride)
        return changed._replace(y=domain.y[:, middle, middle].flatten())


def _moved(change: Augment, domain: Any) -> Any:
    """The images of one domain moved by ``change``, and their masks alike: a plane per class is moved as one more channel.

    A pixel then has the class of the largest plane, and none where what comes in from outside is more than half of it.
    """
    if not isinstance(domain, Sample):
        return domain._replace(x=change(domain.x))
    x, classes = domain.x, range(int(domain.y.max()) + 1)
    full = 255 if x.dtype == torch.uint8 else 1
    planes = torch.stack([domain.y == number for number in classes] or [domain.y > 0], 1).to(x.dtype) * full
    moved = change(torch.cat((x, planes), 1))
    x, planes = moved[:, : x.shape[1]], moved[:, x.shape[1] :].float() / full
    return domain._replace(x=x, y=planes.argmax(1).masked_fill(planes.sum(1) <= 0.5, -1))


# What options and folders say


def _size(size: list[int] | int, stride: int) -> tuple[int, int]:
    sides = [size, size] if isinstance(size, int) else size
    if stride < 1:
        raise UserError(f"--data.stride is {stride}: it is a number of pixels, 1 or more")
    if len(sides) != 2 or any(require_size(side) % stride for side in sides):
        raise UserError(f"--data.size is {size}: it is a height and a width, multiples of --data.stride {stride}")
    return sides[0], sides[1]


def _values(classes: Any, void: Sequence[int | Colour]) -> tuple[list[str], Mapping[Value, int]]:
    """The names of the classes, and the class or :data:`VOID` that each number or colour stands for."""
    if not classes:
        raise UserError("--data.classes is missing: give the classes' names in the order of their numbers in the masks, or with colours")
    named = classes if isinstance(classes, dict) else {str(name): number for number, name in enumerate(classes)}
    pairs = [*((value, number) for number, value in enumerate(named.values())), *((value, VOID) for value in void)]
    values: dict[Value, int] = {}
    for given, label in pairs:
        value: Any = tuple(given) if isinstance(given, list | tuple) else given
        parts = value if isinstance(value, tuple) else (value,)
        if len(parts) not in (1, 3) or not all(0 <= part < 256 for part in parts) or isinstance(value, tuple) is (len(parts) == 1):
            raise UserError(f"--data.classes or --data.void has {given}: a number from 0 to 255, or a colour as [128, 64, 128]")
        if value in values:
            raise UserError(f"--data.classes and --data.void give {given} two meanings: give each number or colour one")
        values[value] = label
    if len({type(value) for value in values}) > 1:
        raise UserError("--data.classes and --data.void mix numbers and colours: give all as numbers, or all as colours")
    if len(named) >= VOID:
        raise UserError(f"--data.classes has {len(named)} classes: masks of 8 bits have at most {VOID - 1} and void")
    return list(named), values


def files_of(folder: Path, images: str, masks: str, may_lack: bool) -> list[Files]:
    """The files of a domain in ``folder``, or its training files and its test files; one that ``may_lack`` masks may have none at all.

    Raises:
        UserError: there are no images; an image has no mask, or a mask no image.
    """
    parts = [folder / "train", folder / "test"] if (folder / "test").is_dir() else [folder]
    return [_paired(part / images, part / masks, may_lack) for part in parts]


def _paired(images: Path, masks: Path, may_lack: bool) -> Files:
    """The images of a folder, each with the mask of its name; without the folder of masks, which a target ``may_lack``, with none."""
    found = {path.relative_to(images).with_suffix(""): path for path in image_files(images)} if images.is_dir() else {}
    if not found:
        raise UserError(f"{images} has no images: put them there, or name their folders by --data.images")
    if may_lack and not masks.is_dir():
        return [(path, None) for path in found.values()]
    return matched(found, {path.relative_to(masks).with_suffix(""): path for path in image_files(masks)} if masks.is_dir() else {}, masks)


def matched(images: Mapping[Path, Path], masks: Mapping[Path, Path], place: Path) -> Files:
    """The images with their masks, both by the names that they have in common.

    Raises:
        UserError: there is an image without a mask in ``place``, or a mask without an image.
    """
    for one, other, what in ((images, masks, ("image", "mask")), (masks, images, ("mask", "image"))):
        if lone := sorted(name for name in one if name not in other):
            where = f" in {place}" if what[1] == "mask" else ""
            raise UserError(
                f"{len(lone)} of {len(one)} {what[0]}s have no {what[1]} of the same name{where}, the first: {one[lone[0]]}; "
                "add what is missing, or take the other away"
            )
    return [(path, masks[name]) for name, path in images.items()]
