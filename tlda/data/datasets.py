"""Any two map-style torch data sets as a source and a target."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from tlda.batch import Sample
from tlda.data.files import in_rgb, pixels
from tlda.data.pair import Domain, DomainPair
from tlda.errors import UserError


def to_tensor(image: Any) -> Tensor:
    """Bytes or floats (c, h, w) of a tensor (c, h, w) or (h, w), an array (h, w, c) or (h, w), or a PIL image."""
    if isinstance(image, Tensor):
        tensor = image[None] if image.ndim == 2 else image
    elif isinstance(image, np.ndarray):
        tensor = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(image).transpose(2, 0, 1)))
    elif hasattr(image, "convert"):
        tensor = pixels(image.convert("L") if image.mode in ("1", "L") else in_rgb(image))
    else:
        raise TypeError(f"a {type(image).__name__} is no image")
    if tensor.ndim != 3 or not (tensor.dtype == torch.uint8 or tensor.is_floating_point()):
        raise TypeError(f"{tuple(tensor.shape)} of {tensor.dtype} is no image of bytes or floats (c, h, w)")
    return tensor if tensor.dtype == torch.uint8 else tensor.float()


class Items:
    """A data set of (image, label), read a batch at a time.

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
        return len(self.data)  # type: ignore[arg-type]

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
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise UserError(f"row {row} of the {self.name} data set is a {type(item).__name__}; it must be (image, label)")
        try:
            return to_tensor(item[0]), self.checked(row, int(item[1]))
        except (TypeError, ValueError) as error:
            raise UserError(f"row {row} of the {self.name} data set: {error}") from error

    def checked(self, row: int, label: int) -> int:
        """The label of a row, where it is one."""
        if not 0 <= label < (label + 1 if self.num_classes is None else self.num_classes):
            known = f"classes 0 to {self.num_classes - 1}" if self.num_classes else "classes from 0 on"
            raise UserError(f"row {row} of the {self.name} data set has the label {label}, and there are {known}")
        return label

    @cached_property
    def first(self) -> Tensor:
        """The first image, which all others are like."""
        return self.item(0)[0]

    @cached_property
    def labels(self) -> Tensor:
        """The class of each row, (n,); read from ``targets`` where the data set has them, else from each item."""
        known = _targets(self.data)
        labels = [self.item(row)[1] for row in range(len(self))] if known is None else known.tolist()
        return torch.tensor([self.checked(row, label) for row, label in enumerate(labels)])


def _targets(data: Any) -> Tensor | None:
    """The labels that a data set of torchvision lists, unless it changes them on reading."""
    if isinstance(data, Subset):
        targets = _targets(data.dataset)
        return None if targets is None else targets[list(data.indices)]
    if not hasattr(data, "targets") or getattr(data, "target_transform", None) is not None:
        return None
    return torch.as_tensor(data.targets)


class Datasets(DomainPair):
    """Two data sets in Python, whose items are an image and its class, all images of one shape.

    An image is a tensor (c, h, w) or (h, w), an array (h, w, c) or (h, w), or a PIL image; bytes become floats in 0..1.

    Args:
        source: the training rows with labels.
        target: the training rows without.
        source_test: the rows of the source validation; by default a part held out of ``source``.
        target_test: the rows that measure; by default those of ``target``.
        class_names: the names of the classes, by label; by default the data set's own ``classes``, else the numbers.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an empty data set; images of different shapes; a label that is no class.
    """

    def __init__(
        self,
        source: Dataset[Any],
        target: Dataset[Any],
        source_test: Dataset[Any] | None = None,
        target_test: Dataset[Any] | None = None,
        class_names: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = {"source": source, "target": target, "source_test": source_test, "target_test": target_test}
        names = class_names or getattr(source, "classes", None)
        self.items = {name: Items(data, name, len(names) if names else None) for name, data in given.items() if data is not None}
        self.names = [str(name) for name in names] if names else None

    @property
    def class_names(self) -> list[str]:
        if self.names is None:
            self.names = [str(c) for c in range(1 + max(int(items.labels.max()) for items in self.items.values()))]
        return self.names

    def load(self) -> tuple[Domain, Domain]:
        reference = self.items["source"].first.shape
        for name, items in self.items.items():
            if items.first.shape != reference:
                raise UserError(
                    f"the images of the {name} data set are {tuple(items.first.shape)}, and those of the source "
                    f"{tuple(reference)}; give all of them one size and channels"
                )
        source, target = (Domain(name, self.items[name], self.items.get(f"{name}_test")) for name in ("source", "target"))
        return source, target
