"""Several tasks at once: more labels for the rows of one data set, or several data sets."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from keyword import iskeyword
from typing import Any

import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader

from tlda.batch import Rows, Sample, Unlabelled
from tlda.data.arrays import digest
from tlda.data.augmenting import Moved
from tlda.data.delegated import default, refuse_idle, refuse_translated
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain, Joined, New, digest_of, lengths_of
from tlda.errors import UserError, near
from tlda.options.recorded import Plain
from tlda.tasks import Classification, Place, Several, Task
from tlda.tasks.several import require_distinct_tasks

BATCHES = (
    *("batch_size", "steps", "eval_batch_size", "shots", "holdout", "augment", "num_workers"),
    *("balanced", "unlabelled_ratio", "validate_on", "labelled", "stream"),
)
"""The options of data that say how rows are drawn and read."""


@dataclass
class Columns:
    """Rows whose label (n,) becomes one a task, (n, tasks): row c of ``table`` (classes + 1, tasks) for class c, the last for none."""

    data: Rows
    table: Tensor

    @property
    def labels(self) -> Tensor:
        """The class of each row in the first task, (n,)."""
        return self.table[self.data.labels][:, 0]

    @property
    def lengths(self) -> Tensor | None:
        """The length of each row, where the data have lengths."""
        return lengths_of(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor) -> Sample:
        sample = self.data[rows]
        return sample._replace(y=self.table[sample.y])

    @property
    def digest(self) -> str:
        """A hash of the data and of the table."""
        return digest((digest_of(self.data).encode(), self.table))


class Relabelled(DomainPair):
    """The data of another pair of domains, with more tasks: coarser classes, and which domain a row is of.

    Args:
        data: the pair of domains, whose classes are the first task.
        name: the name of that task.
        tasks: by the name of a task, the classes that each of its own is made of, such as ``{parity: {even: ["0", "2"], odd: ["1"]}}``; a
            class in none has no label there.
        origin: the name of the task that tells the domains apart, if any: it trains on the source's and the target's rows, and of the
            target's on nothing but that they are its.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a class that the data have not, with the near name; a task of one class; a name that can be none, or is two tasks';
            translations; an option of ``data`` that says how rows are drawn, which is one of these data.
    """

    def __init__(
        self,
        data: DomainPair,
        name: str = "class",
        tasks: dict[str, dict[str, list[str]]] | None = None,
        origin: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data, self.tasks, self.origin = data, tasks or {}, origin
        self.window = data.window
        if data.ten_crop:
            raise UserError("--data.data.init_args.ten_crop averages the answers to one task, and Relabelled has several: leave it out")
        self.name: str = name
        refuse_translated("Relabelled", self, data)
        refuse_idle(BATCHES, data, "--data", self)
        for task, classes in self.tasks.items():
            for old in (old for group in classes.values() for old in group if old not in data.task.classes):
                raise UserError(f"--data.tasks.{task} names the class '{old}', which the data have not{near(old, data.task.classes)}")
            if len(classes) < 2:
                raise UserError(f"--data.tasks.{task} has only the classes {list(classes)}: a task needs two")
        require_distinct_tasks([name, *self.tasks, *([origin] if origin else [])])
        if data.target_private:
            raise UserError("Relabelled gives every row of the data its tasks, and unknown rows have no class: leave target_private out")
        if not (isinstance(data.task, Classification) and data.task.one_row):
            raise UserError(f"Relabelled has one class per input, and {type(data).__name__} asks for {type(data.task).__name__}: use Tasks")
        self.task_names = list(self.task.parts)

    @property
    def tokenizers(self) -> list[str]:
        return self.data.tokenizers

    @cached_property
    def task(self) -> Several:
        coarse = {task: Classification(list(classes)) for task, classes in self.tasks.items()}
        origin = {self.origin: Classification(["source", "target"])} if self.origin else {}
        return Several({"": {self.name: self.data.task, **coarse, **origin}})

    @property
    def transfer(self) -> str:
        return self.data.transfer

    def describe_row(self, row: int) -> str:
        return self.data.describe_row(row)

    @property
    def fitted(self) -> Plain:
        return self.data.fitted

    def read_new(self, place: str, fitted: Plain) -> New:
        return self.data.read_new(place, fitted)

    def fingerprint(self) -> str:
        # Not of the rows: which of them are held out depends on the seed.
        return digest([self.data.fingerprint().encode(), self.table(0), self.table(1)])

    def load(self) -> tuple[Domain, Domain]:
        held, target = self._hold_out(self.data.loaded[0]), self.data.loaded[1]
        source = held.map(lambda rows: Columns(rows, self.table(0)))
        if self.origin:
            source = replace(source, train=Joined([source.train, Columns(target.train, self.hidden(1))]))
        return source, target.map(lambda rows: Columns(rows, self.table(1)))

    def table(self, domain: int) -> Tensor:
        """The labels in each task by class, (classes + 1, tasks), those of no class last."""
        rows = [self._row(name, domain) for name in self.data.task.classes]
        return torch.tensor([*rows, *self.hidden(domain)[-1:].tolist()])

    def hidden(self, domain: int) -> Tensor:
        """The table in which there is no label but the domain's."""
        none = [-1] * (1 + len(self.tasks)) + ([domain] if self.origin else [])
        return torch.tensor([none] * (len(self.data.task.classes) + 1))

    def _row(self, name: str, domain: int) -> list[int]:
        coarse = (next((i for i, classes in enumerate(groups.values()) if name in classes), -1) for groups in self.tasks.values())
        return [self.data.task.classes.index(name), *coarse, *([domain] if self.origin else [])]


class Tasks(DomainPair):
    """Several pairs of domains, each a task or more: a step has a batch of each.

    Args:
        tasks: the data by the name of the task, which they are taken in the order of; each with a batch size of its own.
        steps: the batches of an epoch, the same for all; by default one pass over the largest.
        **kwargs: see :class:`DomainPair`; what is not said of a task is said by its own data.

    Raises:
        UserError: no tasks, or one whose target has no labels to measure with; a name that can be none, or is two tasks'; translations;
            options that say how rows are drawn and are not those of a task.
    """

    def __init__(self, tasks: dict[str, DomainPair], steps: int | None = None, **kwargs: Any) -> None:
        super().__init__(steps=steps, **kwargs)
        if not tasks:
            raise UserError("--data.tasks is empty: name the data of each task")
        refuse_translated("Tasks", self)
        self.tasks = dict(sorted(tasks.items()))
        refuse_idle(set(BATCHES) - {"steps"}, self, "--data.tasks.NAME.init_args")
        self._refuse_steps()
        for name in self.tasks:
            if not name.isidentifier() or name.startswith("_") or iskeyword(name):
                raise UserError(f"--data.tasks: '{name}' can name no field of a batch: take letters, digits and _, and no word of Python's")
        self.task_names = list(self.task.parts)

    def _refuse_steps(self) -> None:
        """Refuse steps of a task that would not be taken: all tasks have as many."""
        given = {name: data.steps for name, data in self.tasks.items() if data.steps != default(type(data), "steps")}
        for name, steps in given.items():
            if steps != self.steps and (self.steps is not None or len(given) < len(self.tasks) or len(set(given.values())) > 1):
                raise UserError(f"--data.tasks.{name} has steps {steps}, and all tasks have as many: give --data.steps instead")

    @cached_property
    def task(self) -> Several:
        return Several({name: _tasks_of(name, data) for name, data in self.tasks.items()})

    @property
    def tokenizers(self) -> list[str]:
        return [name for data in self.tasks.values() for name in data.tokenizers]

    @property
    def transfer(self) -> str:
        return "+".join(self.tasks)

    @property
    def places(self) -> list[Place]:
        return [place._replace(part=name) for name, data in self.tasks.items() for place in data.places]

    def describe_row(self, row: int) -> str:
        return next(iter(self.tasks.values())).describe_row(row)

    @property
    def fitted(self) -> Plain:
        return next(iter(self.tasks.values())).fitted

    def read_new(self, place: str, fitted: Plain) -> New:
        return next(iter(self.tasks.values())).read_new(place, fitted)

    def fingerprint(self) -> str:
        return digest([f"{name} {data.fingerprint()}\n".encode() for name, data in self.tasks.items()])

    @property
    def loaded(self) -> tuple[Domain, Domain]:
        return next(iter(self.tasks.values())).loaded

    def setup(self, stage: str) -> None:
        for name, data in self.tasks.items():
            data.trainer = self.trainer
            data.setup(stage)
            if not data.measures_target:
                raise UserError(f"the target of the task '{name}' has no labels, and several tasks are measured together: give it some")

    def train_dataloader(self) -> CombinedLoader:
        """The loaders of all tasks, each with as many steps as the largest has, unless ``steps`` is given."""
        steps = self.steps or max(len(data.train_dataloader().iterables[0]) for data in self.tasks.values())
        loaders = []
        for data in self.tasks.values():
            data.steps = steps
            loaders.append(data.train_dataloader().iterables)
        return CombinedLoader(self.batch(loaders), "min_size")

    def batch(self, parts: Iterable[Any]) -> tuple[Any, ...]:
        """The batch of all tasks, whose fields are their names."""
        return namedtuple("TaskBatch", self.tasks)(*parts)

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [loader for data in self.tasks.values() for loader in data.val_dataloader()]

    def test_dataloader(self) -> list[DataLoader[Any]]:
        return self.val_dataloader()

    def predict_dataloader(self) -> DataLoader[Any]:
        return next(iter(self.tasks.values())).predict_dataloader()

    def on_after_batch_transfer(self, batch: Moved, dataloader_idx: int) -> Moved:
        """Let the data of each task prepare its own part of the batch."""
        if isinstance(batch, (Sample, Unlabelled)):
            return super().on_after_batch_transfer(batch, dataloader_idx)
        parts = (data.on_after_batch_transfer(part, dataloader_idx) for data, part in zip(self.tasks.values(), batch, strict=True))
        whole: Any = self.batch(parts)
        moved: Moved = whole
        return moved


def _tasks_of(name: str, data: DomainPair) -> Mapping[str, Task]:
    """The tasks of the data set ``name``: one of that name, or those that it was relabelled with."""
    return data.task.parts if isinstance(data.task, Several) else {name: data.task}
