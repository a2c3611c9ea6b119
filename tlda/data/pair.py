"""The datamodule that pairs a source and a target domain, for every setting."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader

from tlda.batch import Pair, Sample, Unlabelled
from tlda.data.arrays import digest, runs
from tlda.data.holding import hold_out, shots, warn_of_absent
from tlda.data.samplers import ALONE, Buckets, Once, Steps
from tlda.data.seeds import Numbered, Seeded, may_draw, run_seed
from tlda.data.translated import Translated, mixed
from tlda.errors import UserError
from tlda.inputs import joined

if TYPE_CHECKING:
    from tlda.metrics.measures import Measures


class Rows(Protocol):
    """A data set that is read a batch at a time: no Python runs per sample where its rows live in memory."""

    @property
    def labels(self) -> Tensor:
        """The class of each row, (n,)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Sample: ...


@dataclass
class Domain:
    """One domain: its training rows, its test rows where its distributor keeps some apart, and whether all training rows have labels.

    A label of -1 is none. Rows without labels beside those with them are ``unlabelled``: adaptation to the domain trains on both.
    """

    name: str
    train: Rows
    test: Rows | None = None
    labelled: bool = True
    unlabelled: Rows | None = None

    @property
    def splits(self) -> list[Rows]:
        """All rows that there are."""
        return [split for split in (self.train, self.test, self.unlabelled) if split is not None]

    def map(self, change: Callable[[Any], Rows]) -> Domain:
        """The domain with each of its sets of rows changed."""
        parts = {"train": self.train, "test": self.test, "unlabelled": self.unlabelled}
        changed: dict[str, Any] = {name: change(rows) for name, rows in parts.items() if rows is not None}
        return replace(self, **changed)

    @property
    def without_labels(self) -> WithoutLabels:
        """The training rows, none of whose labels can be reached."""
        return WithoutLabels(self.train if self.unlabelled is None else Joined([self.train, self.unlabelled]))


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
        return Unlabelled(sample.x, sample.row)


def lengths_of(data: Any) -> Tensor | None:
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
        lengths = [lengths_of(part) for part in self.parts]
        return None if None in lengths else torch.cat(lengths)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, rows: Tensor) -> Sample:
        ends = torch.tensor([0, *map(len, self.parts)]).cumsum(0)
        owner = torch.bucketize(rows, ends[1:], right=True)
        found = [(i, (owner == i).nonzero().flatten()) for i in sorted(set(owner.tolist()))]
        samples = [self.parts[i][rows[places] - ends[i]] for i, places in found]
        back = torch.cat([places for _, places in found]).argsort()
        return Sample(joined([sample.x for sample in samples])[back], torch.cat([sample.y for sample in samples])[back], rows)

    @property
    def digest(self) -> str:
        """A hash of the parts."""
        return digest([digest_of(part).encode() for part in self.parts])


class Augment(torch.nn.Module):
    """The base of augmentations: a batch of images in 0..1, (n, c, h, w), to another, on its device."""

    def domains(self, images: Sequence[Tensor]) -> list[Tensor]:
        """The images of each domain of a training batch, changed: each for itself, unless a subclass looks at all."""
        return [self(x) for x in images]


class DomainPair(LightningDataModule):
    """A source and a target domain. A subclass says what they are in :meth:`load` and :attr:`class_names`.

    The target's test rows measure; where its distributor keeps none apart, all its rows do, as is usual, unless the
    method sees their labels: then a part held out of them does. The source's test rows, or a part held out of its training
    rows, are the source validation.

    Args:
        batch_size: the rows of each domain in a batch of one process.
        steps: the batches of an epoch; by default one pass over the first domain of the batch.
        eval_batch_size: the rows of a batch where nothing is trained.
        shots: the labels a class that a supervised setting may see of the target; null for all.
        holdout: the share kept of the source for validation, and of a target whose labels are seen, where there are no test rows; of each
            class at least one row stays to train on.
        augment: augmentations of the training batches, in order.
        num_workers: processes that read data from disk.
        translated: translations of the source that take the place of its images, or of a share of them.
        seed: the seed of order, shots and holdout; by default that of the run.
    """

    def __init__(
        self,
        batch_size: int = 64,
        steps: int | None = None,
        eval_batch_size: int = 500,
        shots: int | None = None,
        holdout: float = 0.1,
        augment: Sequence[Augment] | None = None,
        num_workers: int = 0,
        translated: Translated | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("steps", steps), ("eval_batch_size", eval_batch_size), ("shots", shots)):
            if value is not None and value < 1:
                raise UserError(f"--data.{name} is {value}: it must be at least 1")
        if num_workers < 0:
            raise UserError(f"--data.num_workers is {num_workers}: it is a number of processes, 0 or more")
        if seed is not None and (not 0 <= seed < 2**32 or seed != int(seed)):
            raise UserError(f"--data.seed is {seed}: it is a whole number from 0 to {2**32 - 1}")
        if not 0 < holdout < 1:
            raise UserError(f"--data.holdout is {holdout}: it is a share of the source, between 0 and 1")
        self.batch_size, self.steps, self.eval_batch_size = batch_size, steps, eval_batch_size
        self.shots, self.holdout, self.num_workers = shots, holdout, num_workers
        self.augment, self.translated = list(augment or ()), translated
        self.given_seed = seed
        self.domains: tuple[Domain, Domain] | None = None

    @cached_property
    def seed(self) -> int:
        """The seed of order, shots and holdout; the run's is read when it is first needed, so that data may be made before it is set."""
        return run_seed() if self.given_seed is None else self.given_seed

    # What a subclass says

    @property
    def class_names(self) -> list[str]:
        """The names of the classes, the same in both domains."""
        raise NotImplementedError

    def load(self) -> tuple[Domain, Domain]:
        """The source and the target."""
        raise NotImplementedError

    def describe_row(self, row: int) -> str:
        """What ``predict`` calls a row of the target: its file, or its number."""
        return str(row)

    @cached_property
    def loaded(self) -> tuple[Domain, Domain]:
        """The domains as :meth:`load` gives them, read once."""
        return self.load()

    def fingerprint(self) -> str:
        """A hash of what the data are, 16 hexadecimal digits: class names, labels, and images or the state of their files."""
        splits = (split for domain in self.loaded for split in domain.splits)
        return digest([*(f"{name}\0".encode() for name in self.class_names), *(digest_of(split).encode() for split in splits)])

    inputs: ClassVar[str] = "values"
    """What the rows are: ``values`` (images or vectors), ``texts``, ``words`` (texts, each word of which has a class), or ``spans``."""

    @property
    def tokenizers(self) -> list[str]:
        """The models whose tokenizers make the tokens, where the rows are texts."""
        return []

    def measures(self) -> Measures:
        """What a run on these data measures."""
        from tlda.metrics.measures import Measures

        return Measures(self.num_classes)

    # What the command line and Lightning use

    @property
    def task(self) -> str:
        """The name of the task: ``source_to_target`` where the data has such options."""
        names = (str(getattr(self, name, name)) for name in ("source", "target"))
        return "_to_".join(names)

    @property
    def num_classes(self) -> int:
        """The number of classes, at least two."""
        if len(self.class_names) < 2:
            raise UserError(f"there is only one class, {self.class_names}: a classifier needs two; look at --data.classes and the folders")
        return len(self.class_names)

    def setup(self, stage: str) -> None:
        target = self.loaded[1]
        for domain in self.loaded:
            if not len(domain.train):
                raise UserError(f"the domain '{domain.name}' is empty")
        _ = self.num_classes  # which says where there are too few
        seen = {"labelled", "oracle"} & set(self.batch_type._fields)
        if seen and not target.labelled:
            raise UserError(f"the method trains on labels of the target, and '{target.name}' has {self._lacking(target)}")
        # Each time: the next method may see labels that this one did not.
        self.domains = self._training_source, self._hold_out(target) if seen else target
        if stage == "fit":
            self._warn_of_absent_classes(bool(seen))

    def _warn_of_absent_classes(self, sees_target: bool) -> None:
        """Warn of the classes that have no row whose label the method sees."""
        source, target = self.domains or self.loaded
        for name, rows in ((source.name, source.train), *([(target.name, self._few(target.train))] if sees_target else [])):
            warn_of_absent(name, len(rows), rows.labels, self.class_names)

    @cached_property
    def _training_source(self) -> Domain:
        """The source with its translations, and its held-out rows apart."""
        return self._hold_out(mixed(self.loaded[0], self.translated, self.batch_size))

    def _lacking(self, domain: Domain) -> str:
        """Which of the labels of the training rows are missing."""
        unknown = (domain.train.labels < 0).nonzero().flatten().tolist()
        if len(unknown) in (0, len(domain.train)):
            return "none"
        first = self.describe_row(unknown[0]) if domain.test is None else f"row {unknown[0]}"
        return f"rows without labels, the first: {first}; label them or leave them out"

    @property
    def batch_type(self) -> Any:
        """The type of the method's training batch, whose fields say what is read."""
        return getattr(getattr(self.trainer, "lightning_module", None), "batch_type", Pair)

    def _hold_out(self, domain: Domain) -> Domain:
        if domain.test is not None:
            return domain
        train, held = hold_out(domain.name, len(domain.train), domain.train.labels, self.holdout, self.seed)
        return replace(domain, train=Subset(domain.train, train), test=Subset(domain.train, held))

    def _few(self, data: Rows) -> Rows:
        if self.shots is None:
            return data
        return Subset(data, shots(len(data), data.labels, self.shots, len(self.class_names), self.seed))

    def labelled_part(self) -> tuple[Rows, Rows]:
        """The rows of the target whose labels a supervised setting sees (``shots`` a class), and those that then measure it."""
        target = self._hold_out(self.loaded[1])
        assert target.test is not None
        return self._few(target.train), target.test

    def training_rows(self) -> dict[str, Any]:
        """The training rows by the name of the batch's field."""
        assert self.domains is not None
        source, target = self.domains
        return {
            "source": source.train,
            "target": target.without_labels,
            "labelled": self._few(target.train),
            "oracle": target.train,
        }

    def train_dataloader(self) -> CombinedLoader:
        rows, batch_type = self.training_rows(), self.batch_type
        data = {field: rows[field] for field in batch_type._fields}
        rank, world_size = self._processes()
        steps = self.steps or max(1, len(next(iter(data.values()))) // (self.batch_size * world_size))
        samplers = [self.sampler(d, steps, 2 * self.seed + i, rank, world_size) for i, d in enumerate(data.values())]
        for sampler in samplers:
            # A resumed run draws its first rows before Lightning tells the sampler its epoch.
            sampler.go_on(*self._place())
        loaders = [self.loader(d, sampler, i, rank) for i, (d, sampler) in enumerate(zip(data.values(), samplers, strict=True))]
        return CombinedLoader(batch_type(*loaders), "min_size")

    def sampler(self, data: Any, steps: int, seed: int, rank: int, world_size: int) -> Steps:
        """What chooses the rows of each training batch of ``data``."""
        lengths = lengths_of(data)
        if lengths is None:
            return Steps(len(data), self.batch_size, steps, seed, rank, world_size)
        return Buckets(lengths, self.batch_size, steps, seed, rank, world_size, order_seed=self.seed)

    def _place(self) -> tuple[int, int]:
        """The epoch that a run begins with, and how many of its batches are done: a checkpoint may be of the middle of one."""
        loop = getattr(self.trainer, "fit_loop", None)
        if loop is None:
            return 0, 0
        epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current
        return epochs.processed, batches.processed if epochs.ready > epochs.processed else 0

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer and not ALONE.get() else (0, 1)

    def loader(self, data: Any, sampler: Iterable[Tensor], *numbers: int) -> DataLoader[Any]:
        """A loader of the rows of ``data``, a batch at each index that ``sampler`` gives. What it draws follows seed and ``numbers``."""
        draws = may_draw(data)
        # A batch of rows is one index, so that reading it is one call. With a generator of its own a loader draws nothing
        # from the run's, whose state would else depend on when the loader was made: a resumed run makes it earlier.
        return DataLoader(
            Seeded(data) if draws else data,
            sampler=Numbered(sampler, self.seed, *numbers) if draws else sampler,
            batch_size=None,
            collate_fn=_as_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            generator=torch.Generator(),
        )

    def _evaluation(self, data: Rows, number: int = 1) -> DataLoader[Any]:
        sampler = Once(len(data), self.eval_batch_size, *self._processes(), lengths=lengths_of(data))
        return self.loader(data, sampler, number, self._processes()[0])

    @property
    def evaluation_rows(self) -> tuple[Rows, Rows]:
        """What is measured: the source's held-out rows, and the target's test rows or all of them."""
        assert self.domains is not None
        source, target = self.domains
        assert source.test is not None
        return source.test, target.test if target.test is not None else target.train

    @property
    def measures_target(self) -> bool:
        """Whether any of the target's rows that are measured has a label."""
        return bool((self.evaluation_rows[1].labels >= 0).any())

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._evaluation(data, number) for number, data in enumerate(self.evaluation_rows)]

    def test_dataloader(self) -> list[DataLoader[Any]]:
        # A target without labels comes last, and is left out: it is validated without them, and predicted.
        return self.val_dataloader()[: 2 if self.measures_target else 1]

    def predict_dataloader(self) -> DataLoader[Any]:
        target = self.loaded[1]
        return self._evaluation(target.test if target.test is not None else target.train)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        # A batch that is there already is not walked through: that costs a small net a percent of its step.
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if isinstance(batch, (Sample, Unlabelled)):
            return self.prepare(batch, [])
        domains = [self.prepare(domain, []) for domain in batch]
        augment = self.augment if self.trainer is not None and self.trainer.training else []
        images = [domain.x for domain in domains]
        for change in augment:
            if images[0].ndim != 4:
                raise UserError(f"--data.augment changes images (n, c, h, w), and these inputs are {tuple(images[0].shape)}: leave it out")
            images = change.domains(images)
        return type(batch)(*(domain._replace(x=x) for domain, x in zip(domains, images, strict=True)))

    @staticmethod
    def prepare(domain: Any, augment: Sequence[Callable[[Tensor], Tensor]]) -> Any:
        """Images of bytes to floats in 0..1, augmented, on the batch's device; token ids as they are."""
        x = domain.x.float().div_(255.0) if domain.x.dtype == torch.uint8 else domain.x
        for change in augment:
            x = change(x)
        return domain._replace(x=x)


def _as_is(batch: Any) -> Any:
    return batch


def refuse_idle(options: Iterable[str], idle: DomainPair, place: str, who: DomainPair | None = None) -> None:
    """Raise :class:`UserError` where one of ``options`` of ``idle`` was given, which does nothing.

    Args:
        options: their names.
        idle: the data whose options they are.
        place: where such an option has to be given instead.
        who: the data whose option of that name is taken in its place; one of the same value is right.
    """
    for name in options:
        usual = [default(type(idle), name), *([getattr(who, name)] if who else [])]
        if (value := getattr(idle, name)) not in usual:
            raise UserError(f"{name} {value} of {type(idle).__name__} does nothing here: give it as {place}.{name}, or leave it out")


def default(cls: type, option: str) -> Any:
    """The value that ``option`` of the data ``cls`` has where it is not given; an empty list where that is null."""
    signatures = (inspect.signature(vars(part)["__init__"]).parameters for part in cls.__mro__ if "__init__" in vars(part))
    value = next(parameters[option].default for parameters in signatures if option in parameters)
    return [] if option == "augment" and value is None else value


def refuse_translated(name: str, *parts: DomainPair) -> None:
    """Raise :class:`UserError` where one of ``parts`` has translations, which data called ``name`` do not mix in."""
    if any(part.translated is not None and part.translated.folder is not None for part in parts):
        raise UserError(f"--data.translated is for images themselves, such as those of Digits or Folders, not for {name}: leave it out")


def content(data: Rows) -> str:
    """A hash that any change of an input changes: the data's own ``content``, else of all that it holds, which is read."""
    parts = (data[rows].x for rows in runs(len(data), 256))
    return getattr(data, "content", None) or digest(part for x in parts for part in (f"{x.shape} {x.dtype}".encode(), x))


def digest_of(data: Rows) -> str:
    """The data's own ``digest``, which covers images or files too, else the hash of its labels."""
    return getattr(data, "digest", None) or digest((data.labels,))
