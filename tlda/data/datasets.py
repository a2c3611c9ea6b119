"""Any two map-style torch data sets as a source and a target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from tlda.batch import Sample
from tlda.data.files import pixels, upright
from tlda.data.layouts import few
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain
from tlda.errors import UserError, warn
from tlda.tasks import Task

UNKNOWN = -1
"""The label of a row that has none."""

FLOATS = 16.0
"""Floats above it are no image in 0..1, nor one that was standardised."""


def to_tensor(image: object) -> Tensor:
    """Bytes or floats (c, h, w) of a tensor (c, h, w) or (h, w), an array (h, w, c) or (h, w), or a PIL image."""
    if isinstance(image, Tensor):
        tensor = image[None] if image.ndim == 2 else image
    elif isinstance(image, np.ndarray):
        tensor = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(image).transpose(2, 0, 1)))
    elif hasattr(image, "convert"):
        picture: Any = image
        tensor = pixels(upright(picture, "L" if picture.mode in ("1", "L") else "RGB"))
    else:
        raise TypeError(f"a {type(image).__name__} is no image")
    if tensor.ndim != 3 or not (tensor.dtype == torch.uint8 or tensor.is_floating_point()):
        raise TypeError(f"{tuple(tensor.shape)} of {tensor.dtype} is no image of bytes or floats (c, h, w)")
    if tensor.dtype == torch.uint8:
        return tensor
    if not tensor.isfinite().all():
        raise ValueError("its image has numbers that are not finite")
    return tensor.float()


def class_number(label: object) -> int:
    """The class that a label is, -1 for none, which is None or -1.

    Raises:
        ValueError: it is no whole number from -1 on.
    """
    if label is None:
        return UNKNOWN
    if isinstance(label, (Tensor, np.ndarray)) and math.prod(label.shape) != 1:
        raise ValueError(f"its label is {tuple(label.shape)}, and a class is one number: give the class's own, as by argmax(-1)")
    number = label.item() if isinstance(label, (Tensor, np.ndarray, np.generic)) else label
    if not isinstance(number, (int, float)) or not (number == -1 or number >= 0) or number % 1:
        raise ValueError(f"its label is {number!r}, and a class is a whole number from 0 on; None or -1 is no label")
    return int(number)


class Items:
    """A data set of (image, label), or of images alone, read a batch at a time.

    Args:
        data: the data set.
        name: what errors call it.
        num_classes: above its labels, where it is known.
    """

    def __init__(self, data: Dataset[Any], name: str, num_classes: int | None = None) -> None:
        self.data, self.name, self.num_classes = data, name, num_classes
        if not hasattr(data, "__len__"):
            raise UserError(f"the {name} data set has no length; give a map-style one, with __len__ and __getitem__")
        if not len(self):
            raise UserError(f"the {name} data set is empty")

    def __len__(self) -> int:
        rows: Any = self.data
        return len(rows)

    def __getitem__(self, rows: Tensor) -> Sample:
        images, labels = zip(*(self.item(row) for row in rows.tolist()), strict=True)
        for row, image in zip(rows.tolist(), images, strict=True):
            if (image.shape, image.dtype) != (self.first.shape, self.first.dtype):
                raise UserError(
                    f"row {row} of the {self.name} data set is {tuple(image.shape)} of {image.dtype}, and its row 0 is "
                    f"{tuple(self.first.shape)} of {self.first.dtype}; give all images one size, channels and type"
                )
        return Sample(torch.stack(images), torch.tensor(labels), rows)

    def item(self, row: int) -> tuple[Tensor, int]:
        """One image and its class, checked."""
        item = self.data[row]
        parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
        if not 1 <= len(parts) <= 2:
            raise UserError(f"row {row} of the {self.name} data set has {len(parts)} parts; it must be (image, label), or an image alone")
        try:
            return to_tensor(parts[0]), self.checked(row, parts[1] if len(parts) == 2 else None)
        except (TypeError, ValueError) as error:
            raise UserError(f"row {row} of the {self.name} data set: {error}") from error

    def checked(self, row: int, label: object) -> int:
        """The class of a row, -1 where it has no label."""
        try:
            number = class_number(label)
        except (TypeError, ValueError) as error:
            raise UserError(f"row {row} of the {self.name} data set: {error}") from error
        if self.num_classes is not None and number >= self.num_classes:
            raise UserError(
                f"row {row} of the {self.name} data set has the label {number}, and there are classes 0 to {self.num_classes - 1}; "
                "None or -1 is no label"
            )
        return number

    def require_labels(self) -> None:
        """Raise :class:`UserError` where a row has no label."""
        if unknown := (self.labels < 0).nonzero().flatten().tolist():
            raise UserError(
                f"row {unknown[0]} of the {self.name} data set has no label, and the source needs them: label it, or leave it out"
            )

    @cached_property
    def first(self) -> Tensor:
        """The first image, which all others are like."""
        image = self.item(0)[0]
        if image.is_floating_point() and float(image.abs().max()) > FLOATS:
            warn(
                f"the images of the {self.name} data set are floats up to {float(image.max()):g}, which are taken as they are: give bytes, "
                "or floats in 0..1",
            )
        return image

    @cached_property
    def labels(self) -> Tensor:
        """The class of each row, (n,), -1 for none; read from ``targets`` where the data set has them, else from each item."""
        listed = _targets(self.data)
        if listed is None:
            return torch.tensor([self.item(row)[1] for row in range(len(self))])
        if len(listed) != len(self):
            raise UserError(f"the {self.name} data set has {len(self)} rows, and {len(listed)} targets: give each row one")
        return torch.tensor([self.checked(row, label) for row, label in enumerate(listed)])


def _targets(data: Any) -> list[Any] | None:
    """The labels that a data set of torchvision lists, unless it changes them on reading."""
    if isinstance(data, Subset):
        targets = _targets(data.dataset)
        return None if targets is None else [targets[row] for row in data.indices]
    targets = getattr(data, "targets", None)
    if not isinstance(targets, (Sequence, Tensor, np.ndarray)) or getattr(data, "target_transform", None) is not None:
        return None
    return targets.tolist() if isinstance(targets, (Tensor, np.ndarray)) and targets.ndim == 1 else list(targets)


class Datasets(DomainPair):
    """Two data sets in Python, whose items are an image and its class, all images of one shape.

    An image is a tensor (c, h, w) or (h, w), an array (h, w, c) or (h, w), or a PIL image, which is turned upright as its EXIF data say;
    bytes become floats in 0..1. A label is a whole number; -1, None or an image alone is no label. Rows of the target without labels
    are adapted to and predicted, not measured.

    Args:
        source: the training rows with labels.
        target: the training rows without; its labels measure where it has some and there is no ``target_test``.
        source_test: the rows of the source validation; by default a part held out of ``source``.
        target_test: the rows that measure; by default those of ``target``.
        class_names: the names of the classes, by label; by default the data set's own ``classes``, else the numbers.
        classes: the classes of both domains, where ``source_private`` or ``target_private`` names others; by default all but those.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an empty data set; images of different shapes; a label that is no class; a row of the source without a label;
            ``classes`` of two data sets that differ.
    """

    def __init__(
        self,
        source: Dataset[Any],
        target: Dataset[Any],
        source_test: Dataset[Any] | None = None,
        target_test: Dataset[Any] | None = None,
        class_names: list[str] | None = None,
        classes: list[str | int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = {"source": source, "target": target, "source_test": source_test, "target_test": target_test}
        names = class_names or getattr(source, "classes", None)
        self.items = {name: Items(data, name, len(names) if names else None) for name, data in given.items() if data is not None}
        self.names = [str(name) for name in names] if names else None
        self.classes = None if classes is None else [str(c) for c in classes]
        if self.classes and not self.has_private_classes:
            raise UserError("--data.classes are those of both domains beside private ones: name these by source_private or target_private")
        if self.names and class_names is None:
            _require_alike(self.names, given)

    @property
    def task(self) -> Task:
        if self.names is None:
            self.names = [str(c) for c in range(1 + max(int(items.labels.max()) for items in self.items.values()))]
        return self.classification(self.names, shared=self.classes)

    def load(self) -> tuple[Domain, Domain]:
        """The domains, after a check that all images have one shape and that the source has its labels."""
        reference = self.items["source"].first.shape
        for name, items in self.items.items():
            if items.first.shape != reference:
                raise UserError(
                    f"the images of the {name} data set are {tuple(items.first.shape)}, and those of the source "
                    f"{tuple(reference)}; give all of them one size and channels"
                )
        for name in ("source", "source_test"):
            if name in self.items:
                self.items[name].require_labels()
        labelled = bool((self.items["target"].labels >= 0).all())
        return (
            Domain("source", self.items["source"], self.items.get("source_test")),
            Domain("target", self.items["target"], self.items.get("target_test"), labelled),
        )


def _require_alike(names: list[str], given: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` where a data set counts other ``classes`` than those called ``names``, or in another order."""
    for name, data in given.items():
        classes = getattr(data, "classes", None)
        if isinstance(classes, (list, tuple)) and [str(c) for c in classes] != names:
            raise UserError(
                f"the classes of the {name} data set are {few(map(str, classes))}, and those of the source {few(names)}: a label would be "
                "two classes; give both the same, or class_names where the labels do mean the same"
            )
