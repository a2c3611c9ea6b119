"""The base of data whose labels lie somewhere in an image, and go with it where it is moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from tlda.batch import Rows, Sample, Unlabelled
from tlda.data.arrays import require_size
from tlda.data.augmenting import Augment, OneDomain
from tlda.data.folders import new_images
from tlda.data.layouts import data_root
from tlda.data.pair import DomainPair
from tlda.data.pooling import Name, require_apart
from tlda.data.rows import Domain, New, Pooled
from tlda.errors import UserError
from tlda.options.recorded import Plain

Files = TypeVar("Files")
"""The images of a part of a domain with their labels."""


class Positions(DomainPair, Generic[Files]):
    """Images with labels of their positions. In training a row is a position at a stride, of which :meth:`of_positions` has the label.

    Args:
        root: the folder of the domains; where there is none by that name, the one in ``TLDA_DATA``.
        source: the domain with labels, or a list of several, whose images are pooled; by default ``source``.
        target: the domain without; by default ``target``.
        size: the height and width that images are brought to, or one number for both.
        stride: the distance of two positions in pixels.
        **kwargs: see :class:`DomainPair`.
    """

    def __init__(
        self, root: str | None, source: list[Name] | Name | None, target: Name | None, size: list[int] | int, stride: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        given = source if isinstance(source, list) else ["source" if source is None else source]
        self.sources, self.target = [str(name) for name in given], "target" if target is None else str(target)
        require_apart(self.sources, [self.target])
        self.source, self.root = "+".join(self.sources), data_root(root)
        self.size, self.stride = size_of("size", size, stride), stride

    # What a subclass says

    def find(self, name: str) -> tuple[Files, Files | None]:
        """The training files of the domain ``name``, and its test files where they are kept apart."""
        raise NotImplementedError

    def rows_of(self, files: Files) -> Rows:
        """The rows of ``files``, whose labels are 0, or -1 where an image has none."""
        raise NotImplementedError

    def unknown(self, files: Sequence[Any]) -> Rows:
        """The rows of image ``files`` that have no labels."""
        raise NotImplementedError

    def of_positions(self, y: Tensor, size: tuple[int, int]) -> Tensor:
        """The label of each position (n * h * w, ...) of maps of ``size`` (h, w), of the labels ``y`` of n images."""
        raise NotImplementedError

    def moved(self, change: Augment, batch: Sample) -> Sample:
        """The images of a ``batch`` moved by ``change``, and their labels alike."""
        raise NotImplementedError

    # What these data are

    def load(self) -> tuple[Domain, Domain]:
        """The sources, pooled where there are several, and the target, each with its rows to train on and to measure."""
        found = [self.find(name) for name in self.sources]
        tests = [test for _, test in found if test]
        source = self._pooled([self.rows_of(train) for train, _ in found]), self._pooled(list(map(self.measured, tests))) if tests else None
        train, test = self.find(self.target)
        rows = self.rows_of(train)
        target = rows, self.measured(test) if test else None
        return Domain(self.source, *source), Domain(self.target, *target, labelled=bool((rows.labels >= 0).all()))

    def measured(self, files: Files) -> Rows:
        """The rows of ``files`` as they are measured and predicted: by default as they are trained on."""
        return self.rows_of(files)

    def _pooled(self, rows: Sequence[Rows]) -> Rows:
        return Pooled(rows) if len(rows) > 1 else rows[0]

    def read_new(self, place: str, fitted: Plain) -> New:
        paths = new_images(place)
        return New(self.unknown(paths), [str(path) for path in paths])

    def describe_row(self, row: int) -> str:
        rows: Any = self.loaded[1].train if self.loaded[1].test is None else self.loaded[1].test
        return str(rows.images[row])

    # A training batch

    def apply(self, change: Augment, domains: Sequence[OneDomain]) -> list[OneDomain]:
        """Change the images, and their labels with them where the change moves what is in an image."""
        if change.moves is None:
            raise UserError(
                f"{type(change).__name__} does not say whether it moves what is in an image, which its labels would have to follow: give "
                "augmentations one by one, or set `moves` in a class of your own"
            )
        return [self._moved(change, domain) for domain in domains] if change.moves else super().apply(change, domains)

    def _moved(self, change: Augment, domain: Any) -> Any:
        return self.moved(change, domain) if isinstance(domain, Sample) else domain._replace(x=change(domain.x))

    def _changed(self, batch: Any, training: bool) -> Any:
        changed = super()._changed(batch, training)
        return type(changed)(*map(self._as_rows, changed))

    def as_trained(self, batch: OneDomain) -> OneDomain:
        rows: OneDomain = self._as_rows(super().as_trained(batch))
        return rows

    def _as_rows(self, domain: Any) -> Any:
        """A batch of one domain whose rows are positions."""
        height, width = (length // self.stride for length in domain.x.shape[-2:])
        positions = torch.arange(height * width, device=domain.row.device)
        row = (domain.row[:, None] * len(positions) + positions).flatten()
        changed = domain._replace(row=row, domain=domain.domain.expand(len(domain.x)).repeat_interleave(len(positions)))
        return changed if isinstance(domain, Unlabelled) else changed._replace(y=self.of_positions(domain.y, (height, width)))


def size_of(option: str, size: list[int] | int, stride: int) -> tuple[int, int]:
    """The height and width that the ``option`` of the data gives, multiples of ``stride``."""
    sides = [size, size] if isinstance(size, int) else size
    if stride < 1:
        raise UserError(f"--data.stride is {stride}: it is a number of pixels, 1 or more")
    if len(sides) != 2 or any(require_size(side) % stride for side in sides):
        raise UserError(f"--data.{option} is {size}: it is a height and a width, multiples of --data.stride {stride}")
    return sides[0], sides[1]
