"""Two modalities of the same things, paired without labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from tlda.batch import Paired, Rows
from tlda.data.arrays import digest
from tlda.data.augmenting import as_floats
from tlda.data.delegated import DRAWN, refuse_idle, refuse_translated
from tlda.data.holding import shots
from tlda.data.pair import DomainPair
from tlda.data.pooling import Name
from tlda.data.rows import Domain, New, Subset, numbers_of
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Task


@dataclass
class PairedRows:
    """The rows of ``b``, each with the row of ``a`` that ``partners`` (n,) says; no label of either can be reached."""

    a: Rows
    b: Rows
    partners: Tensor

    def __len__(self) -> int:
        return len(self.b)

    def __getitem__(self, rows: Tensor) -> Paired:
        return Paired(self.a[self.partners[rows]].x, self.b[rows].x, rows)


class Pairs(DomainPair):
    """Inputs ``a`` and ``b`` that belong together, such as pictures and sounds: a teacher reads the one, a method learns to read the other.

    A method that learns from pairs (``Distill``, ``Contrastive``) sees those of the sources and no label. All else is as ``b`` by itself:
    it is validated on its source and measured on its target, and methods that read labels train on those of ``b``, beside which ``a``
    does nothing.

    Args:
        a: the data that the teacher reads.
        b: the data that are learnt to be read.
        by: how pairs are made: ``row``, row n of ``a`` with row n of ``b``; or ``class``, each row of ``b`` with one of ``a`` of the same
            class, drawn by the seed, for which alone the labels are looked at.
        renamed: the class of ``a`` by that of ``b``, where their names differ.
        shuffled: whether the pairs that train are torn apart and joined at random, a control: what is then learnt, no pair has taught.
        labels: the labels per class of the source of ``b`` that a method that reads labels may see; null for all. Pairs have all rows.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: rows of unequal numbers; classes that differ; another option of ``a`` or ``b`` that says how rows are drawn.
    """

    def __init__(
        self,
        a: DomainPair,
        b: DomainPair,
        by: Literal["row", "class"] = "class",
        renamed: dict[str, Name] | None = None,
        shuffled: bool = False,
        labels: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if labels is not None and labels < 1:
            raise UserError(f"--data.labels is {labels}: it is a number of labels per class, 1 or more")
        for part, data in (("a", a), ("b", b)):
            refuse_idle(DRAWN, data, "--data", self)
            if self.augment or data.augment:
                raise UserError(f"the inputs of {part} are paired as they are: leave augment out")
        refuse_translated("Pairs", self, a, b)
        if self.has_private_classes:
            raise UserError("the sets of classes are those of b: give --data.b.source_private and --data.b.target_private")
        self.a, self.b, self.by, self.shuffled, self.labels = a, b, by, shuffled, labels
        self.a_of = {name: str(other) for name, other in (renamed or {}).items()}
        self.targets = b.targets

    @property
    def task(self) -> Task:
        return self.b.task

    def load(self) -> tuple[Domain, Domain]:
        return self.b.loaded

    @property
    def transfer(self) -> str:
        return self.b.transfer

    @property
    def rate(self) -> int | None:
        """The samples per second of ``b``, where it has sounds."""
        return getattr(self.b, "rate", None)

    @property
    def tokenizers(self) -> list[str]:
        return self.b.tokenizers

    @property
    def fitted(self) -> Plain:
        return self.b.fitted

    def describe_row(self, row: int) -> str:
        return self.b.describe_row(row)

    def read_new(self, place: str, fitted: Plain) -> New:
        return self.b.read_new(place, fitted)

    def fingerprint(self) -> str:
        return digest([self.a.fingerprint().encode(), self.b.fingerprint().encode()])

    def setup(self, stage: str) -> None:
        super().setup(stage)
        self._require_fit()

    def _require_fit(self) -> None:
        """Refuse data that cannot be paired, before a step is trained."""
        if self.by == "class":
            _ = self._numbers
            return
        for one, other in zip(self.a.loaded, self.b.loaded, strict=True):
            counts = [[len(split) for split in domain.splits] for domain in (one, other)]
            if counts[0] != counts[1]:
                each = " and ".join(f"'{d.name}' has {' + '.join(map(str, n))}" for d, n in zip((one, other), counts, strict=True))
                raise UserError(f"row n of a belongs to row n of b, and {each} rows: give as many of both, or --data.by class")

    @cached_property
    def _numbers(self) -> Tensor:
        """The number among the classes of ``a`` of each class of ``b``, (classes,)."""
        known, names = list(self.a.task.classes), [self.a_of.get(name, name) for name in self.b.task.classes]
        if not names or sorted(known) != sorted(names):
            odd = next(iter(sorted({*known} ^ {*names})), "no class")
            raise UserError(
                f"a row of b belongs to one of a of its class, and not both have '{odd}': give the same classes, or their names in a by "
                "--data.renamed"
            )
        return torch.tensor([known.index(name) for name in names])

    def partners(self, place: int, rows: Rows, measured: bool) -> tuple[Rows, Tensor]:
        """The data of ``a`` of the source or target ``place``, and the number in them (n,) of the partner of each of ``rows`` of ``b``.

        Args:
            place: 0 for the source, 1 for the target.
            rows: some rows of ``b``.
            measured: whether these are the rows that measure.
        """
        one, other = self.a.loaded[place], self.b.loaded[place]
        apart = measured and (one if self.by == "class" else other).test is not None
        data = one.test if apart and one.test is not None else one.train
        if self.by == "row":
            return data, numbers_of(rows)
        if bool((rows.labels < 0).any()):
            raise UserError("rows without a label belong to no row of a by class: give --data.by row, or label them")
        generator = torch.Generator().manual_seed(2 * self.seed + measured)
        return data, drawn(self._numbers[rows.labels], data.labels, generator)

    def training_rows(self) -> dict[str, Any]:
        found = super().training_rows()
        source = found["source"]
        data, partners = self.partners(0, source, measured=False)
        if self.shuffled:
            partners = partners[torch.randperm(len(partners), generator=torch.Generator().manual_seed(self.seed))]
        few = source
        if self.labels is not None:
            few = Subset(source, shots(len(source), self._classes_of(source), self.labels, len(self.task.label_names), self.seed))
        return found | {"source": few, "paired": PairedRows(data, source, partners)}

    def measured_pairs(self, place: int, row: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs of ``a`` that belong to measured rows of ``b``, and what says that two belong together, (n,).

        Args:
            place: 0 for the source, 1 for the target.
            row: the rows of the data set as batches have them, (n,), in any order.
        """
        rows = self.evaluation_rows[place]
        data, partners = self.partners(place, rows, measured=True)
        order = numbers_of(rows).argsort()
        at = order[torch.searchsorted(numbers_of(rows)[order], row.cpu())]
        return as_floats(data[partners[at]].x), rows.labels[at] if self.by == "class" else at


def drawn(classes: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """A row of each of ``classes`` (n,) among those with ``labels`` (m,); rows of a class come once each before one comes again.

    Raises:
        UserError: a class has no row.
    """
    found = torch.empty_like(classes)
    for number in sorted({*classes.tolist()}):
        wanted, there = (classes == number).nonzero().flatten(), (labels == number).nonzero().flatten()
        if not len(there):
            raise UserError(f"b has rows of the class number {number} of a, which has none: leave that class out of both")
        order = there[torch.randperm(len(there), generator=generator)]
        found[wanted] = order.repeat(-(-len(wanted) // len(there)))[: len(wanted)]
    return found
