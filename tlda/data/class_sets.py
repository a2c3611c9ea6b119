"""Which classes both domains have, and which are one domain's alone: a declared property of the data, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tlda.batch import Rows, Sample
from tlda.data.arrays import digest
from tlda.data.pooling import require_distinct
from tlda.data.rows import Domain, Subset, digest_of
from tlda.errors import UserError, near
from tlda.tasks import Classification, OpenSet

DROPPED = -2
"""What the label of a row becomes whose class its domain has not."""


@dataclass
class Narrowed(Subset):
    """Some ``rows`` of a data set, whose label is looked up in ``table`` (classes + 1,), the last entry of which is that of no label."""

    table: Tensor

    @property
    def labels(self) -> Tensor:
        return self.table[super().labels]

    def __getitem__(self, rows: Tensor) -> Sample:
        sample = super().__getitem__(rows)
        return sample._replace(y=self.table[sample.y])

    @property
    def digest(self) -> str:
        """A hash of the data, of which rows these are, and of their labels."""
        return digest((digest_of(self.data).encode(), self.rows, self.table))


@dataclass(frozen=True)
class ClassSets:
    """The classes that both domains have, and those of one alone.

    Args:
        shared: the classes of both domains.
        source_private: those that only the source has.
        target_private: those that only the target has: its rows of these are "unknown".
        names: all classes in the order of the labels as they are read.
    """

    shared: Sequence[str]
    source_private: Sequence[str]
    target_private: Sequence[str]
    names: Sequence[str]

    @classmethod
    def of(
        cls, names: Sequence[str], shared: Sequence[str] | None, source_private: Sequence[str], target_private: Sequence[str]
    ) -> ClassSets:
        """The sets of data whose classes are ``names``; by default all but the private ones are ``shared``.

        Raises:
            UserError: a class that is in two sets, or that the data have not.
        """
        given = {"classes": list(shared or ()), "source_private": list(source_private), "target_private": list(target_private)}
        require_disjoint(given)
        for option, chosen in given.items():
            for name in (name for name in chosen if name not in names):
                raise UserError(f"--data.{option} names the class '{name}', which the data have not{near(name, names)}")
        private = {*source_private, *target_private}
        return cls([name for name in names if name not in private] if shared is None else shared, source_private, target_private, names)

    @property
    def known(self) -> list[str]:
        """The classes of the source, in the order of the labels: the shared ones first."""
        return [*self.shared, *self.source_private]

    def task(self, scores: Sequence[str] = (), rejection: str | None = None) -> Classification:
        """The classification of the source's classes; where the target has others, :class:`tlda.tasks.OpenSet`."""
        if not self.target_private:
            return Classification(self.known, scores)
        return OpenSet([*self.known, "unknown"], scores, rejection or "entropy")

    def narrow(self, domains: tuple[Domain, Domain]) -> tuple[Domain, Domain]:
        """Each of ``domains`` with the rows of its classes alone, and labels in the order of :attr:`known`; an unknown's is one more."""
        source = {name: number for number, name in enumerate(self.known)}
        target = {name: source[name] for name in self.shared} | dict.fromkeys(self.target_private, len(source))
        first, second = (self._narrowed(domain, labels) for domain, labels in zip(domains, (source, target), strict=True))
        return first, second

    def _narrowed(self, domain: Domain, labels: dict[str, int]) -> Domain:
        table = torch.tensor([*(labels.get(name, DROPPED) for name in self.names), -1])

        def change(rows: Rows) -> Rows:
            return Narrowed(rows, (table[rows.labels] != DROPPED).nonzero().flatten(), table)

        found = domain.map(change)
        for name in labels:
            if domain.labelled and not bool((found.train.labels == labels[name]).any()):
                raise UserError(f"the domain '{domain.name}' has no row of the class '{name}', which it is said to have: look at {OPTIONS}")
        return replace(found, labelled=domain.labelled)


OPTIONS = "--data.classes, --data.source_private and --data.target_private"
"""The options that say the sets."""


def require_disjoint(sets: dict[str, list[str]]) -> None:
    """Raise :class:`UserError` where two of the ``sets``, by the name of their option, have a class in common."""
    seen: dict[str, str] = {}
    for option, names in sets.items():
        require_distinct(names, f"--data.{option}")
        for name in names:
            if name in seen:
                raise UserError(
                    f"--data.{option} names the class '{name}', which --data.{seen[name]} has too: a class is of both domains (classes), "
                    "of the source alone (source_private), or of the target alone (target_private)"
                )
            seen[name] = option
