"""Coloured MNIST, in which a colour predicts the label better than the digit does, in training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from tlda.data.arrays import Images
from tlda.data.digits import READERS
from tlda.data.download import Store
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain, Pooled, pooled
from tlda.errors import UserError, near
from tlda.tasks import Classification, Task


class ColoredMNIST(DomainPair):
    """Digits 0–4 or 5–9, in red or green, 2 x 14 x 14 (Arjovsky et al., Invariant risk minimization, 2019, sec. 5.2).

    A label is flipped with the probability ``label_noise``; the colour is the label's, but for a fraction of rows that each environment has
    of its own. In training it is 0.1 or 0.2, so that the colour is right more often than the digit, and 0.9 in the ``test`` environment.
    The rows of the ``grey`` target are the same without colour: both channels have the digit. The source is validated on MNIST's own test
    images, coloured as the training environments are.

    Args:
        target: the environment that measures, ``test`` or ``grey``, or both: a test measures each.
        environments: the fraction of rows whose colour is the other label's, in each training environment; two or more.
        test: that fraction in the test environment.
        label_noise: the probability that a label is flipped.
        rows: the training rows of each environment; by default all, 25,000 with two.
        draw: the seed of labels, colours and of which image is in which environment; by default 0, whatever the run's.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        download: fetch what is missing.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an unknown target, a fraction that is not in 0 to 1, fewer than two environments, more rows than there are.
    """

    source = "coloured"

    def __init__(
        self,
        target: str | list[str] = "test",
        environments: Sequence[float] = (0.2, 0.1),
        test: float = 0.9,
        label_noise: float = 0.25,
        rows: int | None = None,
        draw: int | None = None,
        root: str | None = None,
        download: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (*(("environments", e) for e in environments), ("test", test), ("label_noise", label_noise)):
            if not 0 <= value <= 1:
                raise UserError(f"--data.{name} has {value}: it is a fraction of rows, from 0 to 1")
        if len(environments) < 2:
            raise UserError(f"--data.environments is {list(environments)}: give the fractions of two training environments or more")
        self.targets = target if isinstance(target, list) else [target]
        for name in self.targets or [""]:
            if name not in ("test", "grey"):
                raise UserError(f"--data.target has '{name}'{near(name, ('test', 'grey'))}")
        self.target, self.environments, self.test, self.label_noise = "+".join(self.targets), list(environments), test, label_noise
        self.rows, self.draw, self.store = rows, draw or 0, Store(Path(root or os.environ.get("TLDA_DATA") or "data"), download)

    @property
    def task(self) -> Task:
        task = Classification(["5-9", "0-4"])
        task.sources = [f"{number}: {flipped:g}" for number, flipped in enumerate(self.environments)]
        return task

    def load(self) -> tuple[Domain, Domain]:
        """The training environments, pooled, and the test environment."""
        train, apart = READERS["mnist"](self.store)
        assert apart is not None
        generator, count = Generator().manual_seed(self.draw), len(self.environments)
        # As in the authors' code, the first 50,000 of the 60,000 images train, and the others measure.
        first = len(train) * 5 // 6
        if self.rows is not None and not 1 <= self.rows <= first // count:
            raise UserError(f"--data.rows is {self.rows}: each of {count} environments has 1 to {first // count}")
        order = torch.randperm(first, generator=generator)
        own = [order[number::count][: self.rows] for number in range(count)]
        parts = [self._coloured(train, rows, flipped, generator) for rows, flipped in zip(own, self.environments, strict=True)]
        held = [torch.arange(number, len(apart), count) for number in range(count)]
        tests = [self._coloured(apart, rows, flipped, generator) for rows, flipped in zip(held, self.environments, strict=True)]
        coloured = self._coloured(train, torch.arange(first, len(train)), self.test, generator)
        grey = Images(coloured.images.amax(1, keepdim=True).expand(-1, 2, -1, -1), coloured.labels)
        measured = [Domain(name, grey if name == "grey" else coloured) for name in self.targets]
        return Domain(self.source, Pooled(parts), Pooled(tests)), pooled(self.target, measured)

    def _coloured(self, data: Images, rows: Tensor, flipped: float, generator: Generator) -> Images:
        """The ``rows`` with their noisy labels, in the channel of the label or, for the fraction ``flipped`` of them, in the other one."""
        images, labels = data.images[rows, 0, ::2, ::2], (data.labels[rows] < 5).long()
        noisy, other = (torch.rand(len(rows), generator=generator) < fraction for fraction in (self.label_noise, flipped))
        labels = labels ^ noisy.long()
        colours = labels ^ other.long()
        both = images.new_zeros(len(rows), 2, *images.shape[1:])
        both[torch.arange(len(rows)), colours] = images
        return Images(both, labels)
