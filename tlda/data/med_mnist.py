"""MedMNIST: small medical images, a file per set."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from tlda.data.arrays import Images, require_size
from tlda.data.layouts import data_root
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain
from tlda.errors import UserError
from tlda.tasks import Task

NAMES = {"pneumoniamnist": ("normal", "pneumonia")}
"""The names of the classes of sets whose file is not needed to know them; those of others are numbers, or ``classes``."""


class MedMNIST(DomainPair):
    """A set of MedMNIST (Yang et al., Scientific Data 2023) with one class per image: its training images, and its test images to measure.

    It is read from the distributor's ``NAME.npz``, or ``NAME_64.npz`` and so on of the larger editions, in the root or in a folder of
    that name. Source and target are the same set, so that ``shots`` says how many of its labels a method learns from. Accuracy and the
    area under the ROC curve are measured, as its authors do. The official validation images are not used: ``holdout`` keeps training
    images apart.

    Args:
        name: the set, such as ``pneumoniamnist``, ``breastmnist`` or ``bloodmnist``.
        root: the folder of the data; where there is none by that name, the one in ``TLDA_DATA``.
        edition: the height and width of the images in the file: 28, 64, 128 or 224.
        size: the height and width that images are brought to, bilinearly; by default as they are.
        classes: the names of the classes, in the order of their numbers.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: there is no such file, or none of MedMNIST's; labels that are several per image, as ChestMNIST's; names that do not fit.
    """

    def __init__(
        self,
        name: str = "pneumoniamnist",
        root: str | None = None,
        edition: int = 28,
        size: int | None = None,
        classes: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source, self.target, self.set_name = name, name, name
        self.root, self.edition, self.classes = data_root(root), edition, classes
        self.size = None if size is None else require_size(size)

    @property
    def file(self) -> Path:
        """Where the set lies.

        Raises:
            UserError: it is nowhere.
        """
        name = f"{self.set_name}.npz" if self.edition == 28 else f"{self.set_name}_{self.edition}.npz"
        for place in (self.root / name, self.root / self.set_name / name):
            if place.is_file():
                return place
        raise UserError(f"there is no {name} in {self.root} or {self.root / self.set_name}: get it from medmnist.com, or set --data.root")

    @property
    def task(self) -> Task:
        """The classification of an image."""
        names = self.classes or NAMES.get(self.set_name)
        count = 1 + int(max(self._read("train_labels").max(), self._read("test_labels").max()))
        if names is not None and len(names) < count:
            raise UserError(f"--data.classes names {len(names)} classes, and {self.file} has {count}: name all, in their order")
        return self.classification(list(names or map(str, range(count))), ["auc"])

    def load(self) -> tuple[Domain, Domain]:
        domain = Domain(self.set_name, self._images("train"), self._images("test"))
        return domain, domain

    def _images(self, part: str) -> Images:
        pixels, labels = torch.from_numpy(self._read(f"{part}_images")), torch.from_numpy(self._read(f"{part}_labels"))
        x = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        return Images(x if self.size is None else _resized(x, self.size), labels[:, 0].long())

    def _read(self, key: str) -> Any:
        try:
            with np.load(self.file) as file:
                found = file[key]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.file} is no file of MedMNIST, or damaged ({type(error).__name__}): get it again") from error
        if key.endswith("labels") and (found.ndim != 2 or found.shape[1] != 1):
            raise UserError(f"{self.file} has {found.shape[-1]} labels per image, and MedMNIST reads sets with one: take another set")
        return found


def _resized(x: Tensor, size: int) -> Tensor:
    """Images of bytes (n, c, h, w) at ``size`` x ``size``, a part at a time."""
    parts = [interpolate(part.float(), (size, size), mode="bilinear", antialias=True) for part in torch.split(x, 512)]
    return torch.cat([part.round().clamp(0, 255).to(torch.uint8) for part in parts])
