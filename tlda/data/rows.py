"""Rows of a domain, and what is made of them: some, those of several data sets, those without labels; and their hashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tlda.batch import Rows, Sample, Unlabelled
from tlda.data.arrays import digest, runs
from tlda.inputs import joined, taken


@dataclass
class Domain:
    """One domain: its training rows, its test rows where its distributor keeps some apart, and whether all training rows have labels.

    A label of -1 is none. Rows without labels beside those with them are ``unlabelled``: adaptation to the domain trains on both.
    Where labels choose the rows of ``train``, ``every`` has all of them: adaptation, which sees no label, trains on those instead.
    """

    name: str
    train: Rows
    test: Rows | None = None
    labelled: bool = True
    unlabelled: Rows | None = None
    every: Rows | None = None

    @property
    def splits(self) -> list[Rows]:
        """All rows that there are."""
        return [split for split in (self.train, self.test, self.unlabelled) if split is not None]

    def map(self, change: Callable[[Any], Rows]) -> Domain:
        """The domain with each of its sets of rows changed."""
        parts = {"train": self.train, "test": self.test, "unlabelled": self.unlabelled, "every": self.every}
        changed: dict[str, Any] = {name: change(rows) for name, rows in parts.items() if rows is not None}
        return replace(self, **changed)

    @property
    def without_labels(self) -> WithoutLabels:
        """The training rows, none of whose labels can be reached."""
        rows = self.train if self.every is None else self.every
        return WithoutLabels(rows if self.unlabelled is None else Joined([rows, self.unlabelled]))


class New(NamedTuple):
    """Inputs without labels, which are to be predicted, and the name of each row."""

    rows: Rows
    names: Sequence[str]


@dataclass
class Over:
    """The base of rows that are those of ``data`` with other inputs: as many, with their labels, of the same pooled domains."""

    data: Rows

    @property
    def labels(self) -> Tensor:
        """The label of each row, (n,)."""
        return self.data.labels

    @property
    def domains(self) -> Tensor | None:
        """The pooled domain of each row, where there are several."""
        return domains_of(self.data)

    def __len__(self) -> int:
        return len(self.data)


@dataclass
class Subset:
    """Some ``rows`` of a data set."""

    data: Rows
    rows: Tensor

    @property
    def labels(self) -> Tensor:
        return self.data.labels[self.rows]

    @property
    def lengths(self) -> Tensor | None:
        """The length of each row, where the data have lengths."""
        lengths = lengths_of(self.data)
        return None if lengths is None else lengths[self.rows]

    @property
    def domains(self) -> Tensor | None:
        """The pooled domain of each row, where there are several."""
        domains = domains_of(self.data)
        return None if domains is None else domains[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Sample:
        return self.data[self.rows[rows]]

    @property
    def digest(self) -> str:
        """A hash of the data and of which rows these are."""
        return digest((digest_of(self.data).encode(), self.rows))

    @property
    def content(self) -> str:
        """A hash of the inputs and of which rows these are."""
        return digest((content(self.data).encode(), self.rows))


def numbers_of(data: Rows) -> Tensor:
    """The number of each row of ``data`` in the whole that it is a part of, (n,)."""
    return numbers_of(data.data)[data.rows] if isinstance(data, Subset) else torch.arange(len(data))


@dataclass
class WithoutLabels:
    """A data set whose labels cannot be reached."""

    data: Rows

    @property
    def lengths(self) -> Tensor | None:
        """The length of each row, where the data have lengths."""
        return lengths_of(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor) -> Unlabelled:
        sample = self.data[rows]
        return Unlabelled(sample.x, sample.row, sample.domain)


def lengths_of(data: object) -> Tensor | None:
    """The number of tokens of each row of ``data``, (n,), where its rows are texts."""
    return getattr(data, "lengths", None)


@dataclass
class Joined:
    """The rows of several data sets, one after the other."""

    parts: Sequence[Rows]

    @cached_property
    def labels(self) -> Tensor:
        """The class of each row, (n,)."""
        return torch.cat([part.labels for part in self.parts])

    @property
    def lengths(self) -> Tensor | None:
        """The length of each row, where the data have lengths."""
        lengths = [found for part in self.parts if (found := lengths_of(part)) is not None]
        return torch.cat(lengths) if len(lengths) == len(self.parts) else None

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, rows: Tensor) -> Sample:
        ends = torch.tensor([0, *map(len, self.parts)]).cumsum(0)
        owner = torch.bucketize(rows, ends[1:], right=True)
        found = [(i, (owner == i).nonzero().flatten()) for i in sorted(set(owner.tolist()))]
        samples = [self.parts[i][rows[places] - ends[i]] for i, places in found]
        back = torch.cat([places for _, places in found]).argsort()
        domain = torch.cat([sample.domain.expand(len(sample.row)) for sample in samples])[back]
        return Sample(
            taken(joined([sample.x for sample in samples]), back), torch.cat([sample.y for sample in samples])[back], rows, domain
        )

    @property
    def digest(self) -> str:
        """A hash of the parts."""
        return digest([digest_of(part).encode() for part in self.parts])


class Pooled(Joined):
    """The rows of several domains, one after the other; each row carries the number of its domain."""

    @cached_property
    def domains(self) -> Tensor:
        """The number of each row's domain, (n,)."""
        return torch.cat([torch.full((len(part),), number) for number, part in enumerate(self.parts)])

    def __getitem__(self, rows: Tensor) -> Sample:
        return super().__getitem__(rows)._replace(domain=self.domains[rows])


def pooled(name: str, domains: Sequence[Domain]) -> Domain:
    """The rows of several ``domains`` as one domain ``name``, each with the number of its own; test rows only where all have some."""
    if len(domains) == 1:
        return domains[0]
    tests = [domain.test for domain in domains if domain.test is not None]
    return Domain(name, Pooled([domain.train for domain in domains]), Pooled(tests) if len(tests) == len(domains) else None)


def domains_of(data: object) -> Tensor | None:
    """The number of the pooled domain of each row of ``data``, (n,); None where there is one domain."""
    domains: Tensor | None = getattr(data, "domains", None)
    return domains


def content(data: Rows) -> str:
    """A hash that any change of an input changes: the data's own ``content``, else of all that it holds, which is read."""
    parts = (data[rows].x for rows in runs(len(data), 256))
    return getattr(data, "content", None) or digest(part for x in parts for part in (f"{x.shape} {x.dtype}".encode(), x))


def digest_of(data: Rows) -> str:
    """The data's own ``digest``, which covers images or files too, else the hash of its labels."""
    return getattr(data, "digest", None) or digest((data.labels,))
