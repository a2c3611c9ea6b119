"""The target as a stream at test: in an order, in one pass, under shifts that follow each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tlda.batch import Rows
from tlda.data.corruptions import corrupted, require_corruption
from tlda.data.rows import Pooled
from tlda.errors import UserError


@dataclass
class Stream:
    """The order in which a test sees the target's rows, once each, and where what a method adapted starts over.

    Args:
        order: ``iid``, shuffled; ``class``, one class after the other; ``dirichlet``, in slots whose classes are drawn, so that they come
            in runs; ``mixed``, shuffled over all shifts.
        delta: the concentration of the Dirichlet draw: the smaller, the longer the runs.
        batch_size: the rows of a batch.
        reset: whether what was adapted starts over at each ``shift``, ``never``, or before each batch, ``sample``.
        shifts: the corruptions that all rows come under, one after the other, such as ``[fog5, none]``; no corruption where none is given.

    Raises:
        UserError: an option out of its range; an unknown corruption.
    """

    order: Literal["iid", "class", "dirichlet", "mixed"] = "iid"
    delta: float = 0.1
    batch_size: int = 64
    reset: Literal["shift", "never", "sample"] = "shift"
    shifts: Sequence[str] = ("none",)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"--data.stream.batch_size is {self.batch_size}: it must be 1 or more")
        if self.delta <= 0:
            raise UserError(f"--data.stream.delta is {self.delta}: it must be above 0")
        if not self.shifts or len({*self.shifts}) < len(self.shifts):
            raise UserError(f"--data.stream.shifts is {list(self.shifts)}: name one or more, each once")
        for name in self.shifts:
            require_corruption(name)
        if self.order == "mixed" and len(self.shifts) < 2:
            raise UserError("--data.stream.order mixed is of several shifts, and there is one: name more, or take iid")

    def rows(self, data: Rows) -> Rows:
        """The rows of ``data`` under each shift, one after the other; the number of the shift is their domain."""
        return Pooled([corrupted(data, name) for name in self.shifts])

    def batches(self, labels: Tensor, seed: int) -> list[Tensor]:
        """The rows of each batch, of :meth:`rows`, whose data have ``labels`` (n,). No batch has rows of two shifts, unless they are mixed.

        Raises:
            UserError: an order by class where a row has not one class.
        """
        draw, count = np.random.default_rng([seed, 23]), len(labels)
        if self.order in ("class", "dirichlet") and labels.ndim != 1:
            raise UserError(f"--data.stream.order {self.order} is of rows with one class: take iid")
        if self.order == "mixed":
            return self._cut(torch.from_numpy(draw.permutation(count * len(self.shifts))))
        orders = (torch.from_numpy(self._order(labels.numpy(), draw)) for _ in self.shifts)
        return [batch for number, order in enumerate(orders) for batch in self._cut(order + number * count)]

    def _cut(self, rows: Tensor) -> list[Tensor]:
        return [rows[first : first + self.batch_size] for first in range(0, len(rows), self.batch_size)]

    def _order(self, labels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        order = draw.permutation(len(labels))
        if self.order == "class":
            return order[np.argsort(labels[order], kind="stable")]
        return order if self.order == "iid" else np.array([*dealt(labels, order, self.delta, draw)], dtype=np.int64)


def dealt(labels: np.ndarray, order: np.ndarray, delta: float, draw: np.random.Generator) -> Iterator[int]:
    """The rows of ``order`` in as many slots as classes, over which a Dirichlet draw deals each class (Gong et al., NeurIPS 2022)."""
    classes = np.unique(labels)
    slots: list[list[list[int]]] = [[] for _ in classes]
    for name in classes:
        rows = order[labels[order] == name]
        cuts = (np.cumsum(draw.dirichlet([delta] * len(classes)))[:-1] * len(rows)).astype(int)
        for slot, part in zip(slots, np.split(rows, cuts), strict=True):
            slot.append(part.tolist())
    for slot in slots:
        for place in draw.permutation(len(slot)):
            yield from slot[place]
