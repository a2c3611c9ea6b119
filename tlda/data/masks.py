"""Anyone's images with masks: the class of every pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tlda.batch import Rows, Sample
from tlda.data.augmenting import Augment
from tlda.data.files import below, by_name, image_files, of_one_part
from tlda.data.masked_files import VOID, MaskedFiles, Value
from tlda.data.pooling import Name
from tlda.data.positions import Positions, size_of
from tlda.data.rows import Domain
from tlda.data.samplers import RareClasses, Steps
from tlda.data.sized_files import warn_of_turned
from tlda.errors import UserError
from tlda.tasks import Segmentation, Task

Colour = list[int]
"""Red, green and blue, 0 to 255."""

Files = Sequence[tuple[Path, Path | None]]
"""Images, each with its mask where it has one."""


class Masks(Positions[Files]):
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
        rare_classes: the temperature at which labelled training images are drawn by their rare classes, see
            :class:`tlda.data.samplers.RareClasses`; each is read once as a run begins. By default every image comes as often.
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
        eval_size: list[int] | int | Literal["own"] | None = None,
        rare_classes: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(root, source, target, size, stride, eval_batch_size=eval_batch_size, **kwargs)
        self.eval_size = eval_size if eval_size is None or eval_size == "own" else size_of("eval_size", eval_size, stride)
        self.names, self.values = _values(classes, void or [])
        self.max_rows = max_rows
        self.folders = images, masks
        self.rare_classes = rare_classes
        if rare_classes is not None and (rare_classes <= 0 or self.balanced):
            what = f"beside --data.balanced {self.balanced}: leave one out" if self.balanced else "is a temperature, above 0"
            raise UserError(f"--data.rare_classes {rare_classes} {what}")

    @cached_property
    def task(self) -> Task:
        """The segmentation into the classes."""
        task = Segmentation(self.names, max_rows=self.max_rows, window=None if self.eval_size is None else self.size)
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def rows_of(self, files: Files) -> MaskedFiles:
        return MaskedFiles([image for image, _ in files], [mask for _, mask in files], self.size, self.values)

    def unknown(self, files: Sequence[Path]) -> MaskedFiles:
        return self.measured([(path, None) for path in files])

    def measured(self, files: Files) -> MaskedFiles:
        rows = self.rows_of(files)
        if self.eval_size is None:
            return rows
        return replace(rows, multiple=self.stride) if self.eval_size == "own" else replace(rows, size=self.eval_size)

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        if self.eval_size is not None and target.test is None:
            raise UserError(
                f"--data.eval_size is the size of test images, and '{self.target}' has none apart: give it folders train and test"
            )
        return source, target

    def sampler(self, data: Rows, steps: int, seed: int, rank: int, world_size: int, field: str = "source") -> Steps:
        if self.rare_classes is None or field == "target":
            return super().sampler(data, steps, seed, rank, world_size, field)
        return RareClasses(class_counts(data, len(self.names)), self.rare_classes, self.batch_size, steps, seed, rank, world_size)

    def find(self, name: str) -> tuple[Files, Files | None]:
        """The training files of the domain ``name``, and its test files where they are kept apart."""
        folder = self.root / name
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: set --data.root, --data.source and --data.target to where the images are")
        found = files_of(folder, *self.folders, name == self.target and name not in self.sources)
        warn_of_turned(name, [image for part in found for image, mask in part if mask is not None])
        return found[0], found[1] if len(found) > 1 else None

    def of_positions(self, y: Tensor, size: tuple[int, int]) -> Tensor:
        """The label of the pixel in the middle of each position."""
        middle = slice(self.stride // 2, None, self.stride)
        return y[:, middle, middle].flatten()

    def moved(self, change: Augment, batch: Sample) -> Sample:
        """The images of a batch moved by ``change``, and their masks alike: a plane per class is moved as one more channel.

        A pixel then has the class of the largest plane, and none where what comes in from outside is more than half of it.
        """
        x, classes = batch.x, range(int(batch.y.max()) + 1)
        full = 255 if x.dtype == torch.uint8 else 1
        planes = torch.stack([batch.y == number for number in classes] or [batch.y > 0], 1).to(x.dtype) * full
        moved = change(torch.cat((x, planes), 1))
        x, planes = moved[:, : x.shape[1]], moved[:, x.shape[1] :].float() / full
        return batch._replace(x=x, y=planes.argmax(1).masked_fill(planes.sum(1) <= 0.5, -1))


def class_counts(data: Rows, classes: int) -> Tensor:
    """The pixels of each of ``classes`` in each image of ``data``, (n, classes)."""
    maps = (data[row].y for row in torch.arange(len(data))[:, None])
    return torch.stack([torch.bincount(y[y >= 0], minlength=classes) for y in maps])


# What options and folders say


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
        UserError: there are no images; an image has no mask, or a mask no image; two have one name.
    """
    parts = [folder / "train", folder / "test"] if (folder / "test").is_dir() else [folder]
    return [_paired(part / images, part / masks, may_lack) for part in parts]


def _paired(images: Path, masks: Path, may_lack: bool) -> Files:
    """The images of a folder, each with the mask of its name; without the folder of masks, which a target ``may_lack``, with none."""
    found = of_one_part(images, image_files(images)) if images.is_dir() else []
    if not found:
        raise UserError(f"{images} has no images: put them there, or name their folders by --data.images")
    if may_lack and not masks.is_dir():
        return [(path, None) for path in found]
    return matched(by_name(found, below(images)), by_name(image_files(masks) if masks.is_dir() else [], below(masks)), masks)


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
