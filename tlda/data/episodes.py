"""Few-shot problems drawn from any pair of domains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tlda.batch import Rows
from tlda.data.delegated import refuse_idle, refuse_translated
from tlda.data.episode_rows import EpisodeRows
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain, Joined, Subset
from tlda.data.samplers import Steps
from tlda.errors import UserError
from tlda.tasks import FewShot

IDLE = ("shots", "validate_on", "balanced", "unlabelled_ratio")
"""Options of data that mean nothing for episodes."""

OWN = ("batch_size", "steps", "eval_batch_size", "holdout", "augment", "num_workers")
"""Options of the data inside, in whose place those of the episodes are taken."""

LIST = 20_26
"""The seed of the list of measured episodes: the same for all methods and all seeds of a run, so that differences are paired."""


@dataclass
class Draw:
    """What an episode is drawn from, and how large it is.

    Args:
        support: the class of each row that may be an example, (n,); -1 of one that may not.
        query: the same of the queries; None where they are other rows of ``support``.
        ways: the classes.
        shots: the examples per class.
        queries: the queries per class.
        name: what errors call the rows.

    Raises:
        UserError: fewer classes than ``ways`` have rows enough.
    """

    support: Tensor
    query: Tensor | None
    ways: int
    shots: int
    queries: int
    name: str

    def __post_init__(self) -> None:
        needed = self.shots if self.query is not None else self.shots + self.queries
        pools = [_by_class(self.support, needed), _by_class(self.support if self.query is None else self.query, self.queries)]
        self.pools = pools
        self.classes = sorted(pools[0].keys() & pools[1].keys())
        if len(self.classes) < self.ways:
            raise UserError(
                f"'{self.name}' has {len(self.classes)} classes with {self.shots} examples and {self.queries} queries, and an episode "
                f"needs {self.ways}: lower --data.ways, --data.shots or --data.queries, or raise --data.holdout where classes are held out"
            )

    def episode(self, generator: torch.Generator) -> Tensor:
        """The rows of an episode: the examples class by class, then the queries."""
        chosen = torch.randperm(len(self.classes), generator=generator)[: self.ways].tolist()
        examples, queries = [], []
        for c in (self.classes[place] for place in chosen):
            own, other = (pool[c] for pool in self.pools)
            drawn = own[torch.randperm(len(own), generator=generator)]
            examples.append(drawn[: self.shots])
            rest = drawn[self.shots :] if self.query is None else other[torch.randperm(len(other), generator=generator)]
            queries.append(rest[: self.queries])
        return torch.cat(examples + queries)


def _by_class(labels: Tensor, least: int) -> dict[int, Tensor]:
    """The rows of each class of ``labels`` (n,) that has at ``least`` so many."""
    counts = labels[labels >= 0].bincount()
    return {c: (labels == c).nonzero().flatten() for c in (counts >= max(1, least)).nonzero().flatten().tolist()}


class Episodic(Steps):
    """:class:`Steps` of which each batch is an episode, drawn anew by (seed, epoch)."""

    def __init__(self, draw: Draw, steps: int, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(len(draw.support), draw.ways * (draw.shots + draw.queries), steps, seed, rank, world_size)
        self.draw = draw

    def order(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        drawn = [self.draw.episode(generator) for _ in range(self.steps * self.world_size)]
        return torch.stack(drawn).view(self.steps, self.world_size, self.batch_size)


class Episodes(DomainPair):
    """Few-shot learning on another pair of domains: train on classes of the source, measure on episodes of the target's classes.

    A list of episodes that no seed changes measures all methods. The source's validation has ``holdout`` of its classes, which no
    method trains on. Where both domains have the same classes, ``support: source`` takes the examples from the source, and the queries
    from the target.

    Args:
        data: the images, whose target's classes need not be the source's.
        ways: the classes of a measured episode.
        shots: the examples of each class.
        queries: the queries of each class.
        episodes: how many are measured, in each of source and target.
        transductive: whether BatchNorm may look at all queries of an episode at once; if not, no answer depends on the other queries.
        support: the domain of the examples of the target's episodes.
        **kwargs: see :class:`DomainPair`; ``shots`` are those of an episode.

    Raises:
        UserError: too few classes or rows; data without classes; an option that does nothing here.
    """

    def __init__(
        self,
        data: DomainPair,
        ways: int = 5,
        shots: int = 1,
        queries: int = 15,
        episodes: int = 600,
        transductive: bool = False,
        support: Literal["source", "target"] = "target",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in {"shots": shots, "queries": queries, "episodes": episodes}.items():
            if value < 1:
                raise UserError(f"--data.{name} is {value}: it must be at least 1")
        refuse_translated("Episodes", self, data)
        for name in IDLE[1:]:
            if getattr(self, name) is not None:
                raise UserError(f"--data.{name} means nothing for episodes, whose rows are drawn by class: leave it out")
        refuse_idle((*OWN, *IDLE), data, "--data", self)
        if data.has_private_classes or self.has_private_classes:
            raise UserError("Episodes take the classes of each domain as they are: leave source_private and target_private out")
        if not data.task.classes or not data.task.one_row:
            raise UserError(f"an episode is of classes of inputs, and {type(data).__name__} asks for {type(data.task).__name__}")
        self.data, self.ways, self.queries, self.episodes = data, ways, queries, episodes
        self.examples, self.transductive, self.support = shots, transductive, support
        self.window, self.source, self.target = data.window, getattr(data, "source", "source"), getattr(data, "target", "target")

    @property
    def task(self) -> FewShot:
        return FewShot(self.ways, self.data.task.classes, self.transductive)

    @property
    def transfer(self) -> str:
        return self.data.transfer

    def describe_row(self, row: int) -> str:
        return self.data.describe_row(row)

    def fingerprint(self) -> str:
        return self.data.fingerprint()

    def load(self) -> tuple[Domain, Domain]:
        return self.data.loaded

    def setup(self, stage: str) -> None:
        """Hold classes of the source out; refuse a method that knows no episodes."""
        method: Any = getattr(self.trainer, "lightning_module", None)
        if method is not None and method.setting != "few-shot":
            raise UserError(f"{type(method).__name__} does not learn from episodes: see tlda list methods --setting few-shot")
        self.domains = self._without_held_classes, self.loaded[1]
        if self._given is not None:
            self._require_given(self.loaded[1].train.labels[self._given[0]])

    @property
    def _given(self) -> Sequence[Tensor] | None:
        """The rows of each measured episode of the target, where the data give them."""
        return getattr(self.data, "given_episodes", None)

    def _require_given(self, labels: Tensor) -> None:
        """Raise :class:`UserError` where the options are not those of an episode that the data give, whose rows have ``labels`` (n,)."""
        ways = len({*labels.tolist()})
        most = len(labels) // ways - 1
        if self.ways != ways or self.examples > most or self.support == "source":
            raise UserError(
                f"the episodes of '{self.target}' are given, of {ways} classes with up to {most} examples of each, and --data.ways "
                f"is {self.ways}, --data.shots {self.examples}, --data.support {self.support}: give --data.ways {ways} --data.shots {most}"
            )

    @cached_property
    def _without_held_classes(self) -> Domain:
        """The source, of whose classes those that are held out are its test."""
        rows = self.loaded[0].train
        classes = torch.unique(rows.labels[rows.labels >= 0])
        order = classes[torch.randperm(len(classes), generator=torch.Generator().manual_seed(LIST))]
        held = torch.isin(rows.labels, order[: max(1, round(self.holdout * len(order)))])
        train, test = (Subset(rows, mask.nonzero().flatten()) for mask in (~held & (rows.labels >= 0), held))
        return replace(self.loaded[0], train=train, test=test)

    def training_rows(self) -> dict[str, Any]:
        source = self._without_held_classes.train
        return {"source": source, "episode": EpisodeRows(source, self.examples)}

    def sampler(self, data: Rows | EpisodeRows, steps: int, seed: int, rank: int, world_size: int, field: str = "source") -> Steps:
        """Draw the classes and rows of each episode; of other fields the rows as everywhere."""
        if field != "episode":
            return super().sampler(data, steps, seed, rank, world_size, field)
        method: Any = getattr(self.trainer, "lightning_module", None)
        ways = getattr(method, "train_ways", None) or self.ways
        draw = Draw(data.labels, None, ways, self.examples, self.queries, f"{self.loaded[0].name}, to train on,")
        return Episodic(draw, steps, seed, rank, world_size)

    @property
    def evaluation_rows(self) -> tuple[Rows, Rows]:
        """The rows of the source's held-out classes, and those of the target, after the source's where these are the examples."""
        held, target = self._without_held_classes.test, self.loaded[1]
        assert held is not None
        rows = target.train if target.test is None else target.test
        return held, Joined([self.loaded[0].train, rows]) if self.support == "source" else rows

    @property
    def measures_target(self) -> bool:
        return True

    def listed(self, number: int) -> list[Tensor]:
        """The rows of each measured episode of the source (0) or the target (1); those that the data give, where they give some."""
        if number and self._given is not None:
            return list(self._given)
        labels, query = self.evaluation_rows[number].labels, None
        if number and self.support == "source":
            first = torch.arange(len(labels)) < len(self.loaded[0].train)
            labels, query = labels.where(first, -1), labels.where(~first, -1)
        draw = Draw(labels, query, self.ways, self.examples, self.queries, self.loaded[number].name)
        generator = torch.Generator().manual_seed(LIST + number)
        return [draw.episode(generator) for _ in range(self.episodes)]

    def _measured(self) -> Iterator[DataLoader[Any]]:
        rank, world_size = self._processes()
        for number, rows in enumerate(self.evaluation_rows):
            yield self.loader(EpisodeRows(rows, self.examples), self.listed(number)[rank::world_size], number, rank)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return list(self._measured())

    def test_dataloader(self) -> list[DataLoader[Any]]:
        return list(self._measured())

    def predict_dataloader(self) -> DataLoader[Any]:
        raise UserError("Episodes measure few-shot learning, and have nothing to predict: use tlda test")
