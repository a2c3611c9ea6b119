"""The datamodule that pairs a source and a target domain, for every setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader

from tlda.batch import Pair, Rows, SourceBatch, read_by
from tlda.data.arrays import digest
from tlda.data.augmenting import Augment, Augmenting
from tlda.data.class_sets import OPTIONS, ClassSets
from tlda.data.crops import Viewed
from tlda.data.episode_rows import EpisodeRows
from tlda.data.holding import hold_out, list_at, listed_rows, shots, warn_of_absent
from tlda.data.rows import Domain, New, Subset, WithoutLabels, digest_of, domains_of, lengths_of, numbers_of
from tlda.data.samplers import ALONE, Balanced, Buckets, Once, Steps
from tlda.data.seeds import Numbered, Seeded, may_draw, run_seed
from tlda.data.stream import Stream
from tlda.data.translated import Translated, mixed
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Classification, Place, Task

ROLES: tuple[Literal["source", "target"], ...] = ("source", "target")
"""The roles of the two domains, in their order."""


class DomainPair(Augmenting):
    """A source and a target domain. A subclass gives them in :meth:`load`, and what is learnt in :attr:`task`.

    The target's test rows measure; where its distributor keeps none apart, all its rows do, as is usual, unless the
    method sees their labels: then a part held out of them does. The source's test rows, or a part held out of its training
    rows, are the source validation.

    Args:
        batch_size: the rows of each domain in a batch of one process.
        steps: the batches of an epoch; by default one pass over the first domain of the batch.
        eval_batch_size: the rows of a batch where nothing is trained.
        shots: the labels per class of the target that a supervised setting may see; null for all.
        holdout: the fraction kept of the source for validation, and of a target whose labels are seen, where there are no test rows; at
            least one row of each class stays to train on.
        augment: augmentations of the training batches, in order.
        num_workers: processes that read data from disk.
        translated: translations of the source that take the place of its images, or of a share of them.
        seed: the seed of order, shots and holdout; by default that of the run.
        balanced: whether each training batch of labelled rows has all classes equally often, or once more, or with ``domains`` all pooled
            source domains; by default rows are drawn without regard to either.
        unlabelled_ratio: the unlabelled target rows per labelled source row of a batch; by default 1. FixMatch's authors have 7.
        validate_on: ``train`` to validate on the target's training inputs, or ``holdout`` to hold that fraction out of each domain, the
            target too, whose other rows measure, as DomainBed does. By default validation looks at the inputs that are measured, so that to
            select by it is transductive.
        source_private: the classes that only the source has, by name: partial adaptation. Rows of them in the target are left out.
        target_private: the classes that only the target has, by name: open-set adaptation, universal with ``source_private``. Its rows of
            these are "unknown", which is measured, and which training never sees; rows of them in the source are left out.
        rejection: the rule that rejects a row as unknown where the method has none: its ``entropy`` is above log(k) / 2 for k classes, by
            default, or its ``confidence`` is below 1/2.
        labelled: a list of the target's images whose labels a supervised setting may see, in place of ``shots``: lines of ``PATH LABEL``,
            of which the last folder and the name count; lines of other classes are left out. It may lie in the data root. All other images
            of the target, and none of these, are adapted to and measured, whatever the method.
        stream: the order, batches and corruptions in which a test sees the target, and where adaptation starts over; by default a test
            reads the rows in their order, ``eval_batch_size`` at a time, and adaptation never starts over.
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
        balanced: bool | Literal["domains"] | None = None,
        unlabelled_ratio: int | None = None,
        validate_on: Literal["train", "holdout"] | None = None,
        source_private: list[str | int] | None = None,
        target_private: list[str | int] | None = None,
        rejection: Literal["entropy", "confidence"] | None = None,
        labelled: str | None = None,
        stream: Stream | None = None,
    ) -> None:
        super().__init__()
        counts = {"batch_size": batch_size, "steps": steps, "eval_batch_size": eval_batch_size, "shots": shots}
        for name, value in {**counts, "unlabelled_ratio": unlabelled_ratio}.items():
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
        self.balanced, self.unlabelled_ratio, self.validate_on = balanced, unlabelled_ratio, validate_on
        self.domains: tuple[Domain, Domain] | None = None
        self.source_private, self.target_private = ([str(c) for c in names or ()] for names in (source_private, target_private))
        self.rejection, self.sets = rejection, ClassSets((), (), (), ())
        self.labelled, self.stream = labelled, stream
        if labelled and shots:
            raise UserError(f"--data.shots {shots} draws the labels of the target, and --data.labelled lists them: leave one out")
        if rejection and not self.target_private:
            raise UserError(
                f"--data.rejection {rejection} rejects rows of unknown classes: name them by --data.target_private, or leave it out"
            )

    @cached_property
    def seed(self) -> int:
        """The seed of order, shots and holdout; the run's is read when it is first needed, so that data may be made before it is set."""
        return run_seed() if self.given_seed is None else self.given_seed

    # What a subclass says

    @property
    def renamed(self) -> Mapping[str, str]:
        """What a list of the target's images may call a class, and its name here."""
        return {}

    ten_crop: bool | None = None
    """Whether tests and predictions answer for an image by ten crops of it."""

    @property
    def task(self) -> Task:
        """The task of both domains, such as :class:`tlda.tasks.Classification` with the names of the classes."""
        raise NotImplementedError

    def load(self) -> tuple[Domain, Domain]:
        """The source and the target."""
        raise NotImplementedError

    def describe_row(self, row: int) -> str:
        """The name of a row of the target in the file of ``predict``: its path, or its number."""
        return str(row)

    @property
    def fitted(self) -> Plain:
        """What the data learnt from their rows, such as a column's mean, as plain data; a checkpoint carries it to :meth:`read_new`."""
        return None

    def read_new(self, place: str, fitted: Plain) -> New:
        """Read inputs without labels, which are to be predicted, as those of the target are read; the rows of the data are not looked at.

        Args:
            place: the file or folder that they are in.
            fitted: the :attr:`fitted` of the data that the network was trained on.

        Raises:
            UserError: there are none, or these data read no inputs alone.
        """
        raise UserError(f"{type(self).__name__} reads no inputs alone: leave --inputs out, and the target of the data is predicted")

    @cached_property
    def as_read(self) -> tuple[Domain, Domain]:
        """The domains as :meth:`load` gives them, read once."""
        return self.load()

    @cached_property
    def loaded(self) -> tuple[Domain, Domain]:
        """The domains, each with the rows of its classes alone."""
        return self.narrowed(self.as_read)

    def narrowed(self, domains: tuple[Domain, Domain]) -> tuple[Domain, Domain]:
        """Each of ``domains``, whose labels are as :meth:`load` gives them, with the rows of its classes alone.

        Raises:
            UserError: these data have no classes that sets could be made of.
        """
        if not self.has_private_classes:
            return domains
        kind = type(self.task).__name__  # the sets are made with the task, by classification()
        if not self.sets.names:
            raise UserError(f"{type(self).__name__} asks for {kind} and declares no classes to choose from: leave {OPTIONS} out")
        return self.sets.narrow(domains)

    @property
    def has_private_classes(self) -> bool:
        """Whether a domain has classes of its own."""
        return bool(self.source_private or self.target_private)

    def classification(self, names: Sequence[str], scores: Sequence[str] = (), shared: Sequence[str] | None = None) -> Classification:
        """The task of data whose rows have one of the classes ``names``, in the order of the labels that :meth:`load` gives.

        Args:
            names: the classes of either domain.
            scores: further scores, see :class:`tlda.tasks.Classification`.
            shared: the classes of both domains; by default all that are not private to one.

        Raises:
            UserError: the sets of classes overlap, or name one that is not there.
        """
        self.sets = ClassSets.of(names, shared, self.source_private, self.target_private)
        return self.sets.task(scores, self.rejection) if self.has_private_classes else Classification(names, scores)

    def fingerprint(self) -> str:
        """A hash of what the data are, 16 hexadecimal digits: names of the classes, labels, and images or the state of their files."""
        splits = (split for domain in self.loaded for split in domain.splits)
        names = [*(f"{name}\0".encode() for name in self.task.outputs), *(digest_of(split).encode() for split in splits)]
        return digest([*names, self.labelled_rows.rows] if self.labelled_rows else names)

    @property
    def tokenizers(self) -> list[str]:
        """The models whose tokenizers make the tokens, where the rows are texts."""
        return []

    # What the command line and Lightning use

    targets: Sequence[str] = ()
    """The domains that the target was pooled from, each of which a test measures by itself too."""

    @property
    def transfer(self) -> str:
        """The name of the transfer task: ``source_to_target`` where the data has such options."""
        names = (str(getattr(self, name, name)) for name in ("source", "target"))
        return "_to_".join(names)

    def setup(self, stage: str) -> None:
        """Hold rows out, of the target only where the method sees its labels; refuse an empty domain, and labels that are missing."""
        target = self.loaded[1]
        for domain in self.loaded:
            if not len(domain.train):
                raise UserError(f"the domain '{domain.name}' is empty")
        seen = {"labelled", "oracle"} & set(getattr(self.batch_type, "_fields", ()))
        if seen and not target.labelled:
            raise UserError(f"the method trains on labels of the target, and '{target.name}' has {self._lacking(target)}")
        # Each time: the next method may see labels that this one did not.
        self.domains = self._training_source, self._target_for(seen)
        if "labelled" in seen:
            self._require_shots(self.domains[1])
        if stage == "fit":
            self._warn_of_absent_classes(bool(seen))

    @cached_property
    def labelled_rows(self) -> Subset | None:
        """The rows of the target that :attr:`labelled` lists; None where there is no list."""
        if self.labelled is None:
            return None
        target = self.loaded[1]
        if target.test is not None:
            raise UserError(f"--data.labelled lists images, and '{target.name}' has test rows of its own: give --data.shots instead")
        numbers, classes = numbers_of(target.train), self.task.classes
        names = [(classes[label], self.describe_row(n)) for label, n in zip(target.train.labels.tolist(), numbers.tolist(), strict=True)]
        return Subset(target.train, listed_rows(list_at(self.labelled), target.name, names, self.renamed, classes))

    def _target_for(self, seen: set[str]) -> Domain:
        """The target that a method trains on and is measured on which sees labels of the fields ``seen``."""
        target = self.loaded[1]
        if self.validate_on == "holdout":
            if seen or target.test is not None:
                why = "the method trains on labels of it" if seen else f"'{target.name}' has test rows of its own"
                raise UserError(
                    f"--data.validate_on holdout splits the target into rows that validate and rows that measure, and {why}: leave it out"
                )
            return self._hold_out(target)
        if self.labelled_rows is None:
            return self._hold_out(target) if seen else target
        others = torch.ones(len(target.train), dtype=torch.bool)
        others[self.labelled_rows.rows] = False
        rest = replace(target, train=Subset(target.train, others.nonzero().flatten()))
        return self._hold_out(rest) if "oracle" in seen else rest

    def _require_shots(self, target: Domain) -> None:
        """Refuse more ``shots`` than a class of the ``target`` has rows, those held out apart."""
        if self.shots is None or not len(classes := self._classes_of(target.train)):
            return
        for number, name in enumerate(self.task.label_names):
            if 0 < (count := int((classes == number).sum())) < self.shots:
                rows = f"{count} rows of the class '{name}' to train on"
                raise UserError(f"--data.shots is {self.shots}, and '{target.name}' has {rows}: ask for fewer")

    def _warn_of_absent_classes(self, sees_target: bool) -> None:
        """Warn of the classes that have no row whose label the method sees."""
        source, target = self.domains or self.loaded
        for name, rows in ((source.name, source.train), *([(target.name, self._few(target.train))] if sees_target else [])):
            warn_of_absent(name, len(rows), self._classes_of(rows), self.task.label_names)

    @cached_property
    def _training_source(self) -> Domain:
        """The source with its translations, and its held-out rows apart."""
        return self._hold_out(mixed(self.loaded[0], self.translated, self.batch_size))

    def _lacking(self, domain: Domain) -> str:
        """Name the training rows whose labels are missing."""
        unknown = (~self.task.known(domain.train.labels)).nonzero().flatten().tolist()
        if len(unknown) in (0, len(domain.train)):
            return "none"
        first = self.describe_row(unknown[0]) if domain.test is None else f"row {unknown[0]}"
        return f"rows without labels, the first: {first}; label them or leave them out"

    @property
    def batch_type(self) -> type:
        """The type of the method's training batch, whose fields say what is read."""
        method: Any = getattr(self.trainer, "lightning_module", None)
        return read_by(method)

    def _hold_out(self, domain: Domain) -> Domain:
        if domain.test is not None:
            return domain
        classes, numbers = self._classes_of(domain.train), domains_of(domain.train)
        if numbers is None or self.validate_on != "holdout":
            numbers = torch.zeros(len(domain.train), dtype=torch.long)
        parts = [(numbers == number).nonzero().flatten() for number in sorted({*numbers.tolist()})]
        own = [classes[rows] if len(classes) == len(domain.train) else classes for rows in parts]
        drawn = [hold_out(domain.name, len(rows), y, self.holdout, self.seed) for rows, y in zip(parts, own, strict=True)]
        train, held = (torch.cat([rows[d] for rows, d in zip(parts, some, strict=True)]) for some in zip(*drawn, strict=True))
        return replace(domain, train=Subset(domain.train, train), test=Subset(domain.train, held))

    def _few(self, data: Rows) -> Rows:
        if self.labelled_rows is not None:
            return self.labelled_rows
        if self.shots is None:
            return data
        return Subset(data, shots(len(data), self._classes_of(data), self.shots, len(self.task.label_names), self.seed))

    def _classes_of(self, data: Rows) -> Tensor:
        """The class of each row, (n,); empty where a row has no one class."""
        return data.labels if self.task.label_names and self.task.one_row else torch.empty(0, dtype=torch.long)

    def labelled_part(self) -> tuple[Rows, Rows]:
        """The rows of the target whose labels a supervised setting sees (``shots`` per class), and those that measure it."""
        target = self._target_for({"labelled"})
        return self._few(target.train), target.test or target.train

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
        """The loaders of a training batch, one per field of :attr:`batch_type`, as many batches long as an epoch has steps."""
        rows = self.training_rows()
        styled = self.batch_type is SourceBatch and any(change.sees_target for change in self.augment)
        batch_type: Any = Pair if styled else self.batch_type
        if lacking := [field for field in batch_type._fields if field not in rows]:
            raise UserError(f"the method learns from {lacking[0]} rows, and {type(self).__name__} has none: give --data Pairs")
        data = {field: rows[field] for field in batch_type._fields}
        rank, world_size = self._processes()
        steps = self.steps or max(1, len(next(iter(data.values()))) // (self.batch_size * world_size))
        samplers = [self.sampler(d, steps, 2 * self.seed + i, rank, world_size, field) for i, (field, d) in enumerate(data.items())]
        for sampler in samplers:
            # A resumed run draws its first rows before Lightning tells the sampler its epoch.
            sampler.go_on(*self._place())
        views = data.values() if self.window is None else [Viewed(d, "whole") for d in data.values()]
        loaders = [self.loader(d, sampler, i, rank) for i, (d, sampler) in enumerate(zip(views, samplers, strict=True))]
        return CombinedLoader(batch_type(*loaders), "min_size")

    def sampler(self, data: Any, steps: int, seed: int, rank: int, world_size: int, field: str = "source") -> Steps:
        """Make the sampler that chooses the rows of each training batch of ``data``, which is the ``field`` of the batch."""
        size = self.batch_size * (self.unlabelled_ratio or 1) if field == "target" else self.batch_size
        if self.balanced == "domains":
            if field == "source":
                return Balanced(self._domains_of(data), size, steps, seed, rank, world_size)
        elif self.balanced and field != "target":
            return Balanced(self._balanced_by(data), size, steps, seed, rank, world_size)
        lengths = lengths_of(data)
        if lengths is None:
            return Steps(len(data), size, steps, seed, rank, world_size)
        return Buckets(lengths, size, steps, seed, rank, world_size, order_seed=self.seed)

    def _balanced_by(self, data: Rows) -> Tensor:
        classes = self._classes_of(data)
        if classes.ndim != 1 or len(classes) != len(data):
            raise UserError(f"--data.balanced balances classes, and a row of {type(self).__name__} has not one: leave it out")
        return classes

    def _domains_of(self, data: Rows) -> Tensor:
        domains = domains_of(data)
        if domains is None:
            raise UserError("--data.balanced domains balances pooled source domains, and there is one: name several, or leave it out")
        return domains

    def _place(self) -> tuple[int, int]:
        """The epoch that a run begins with, and how many of its batches are done: a checkpoint may be of the middle of one."""
        loop = getattr(self.trainer, "fit_loop", None)
        if loop is None:
            return 0, 0
        epochs, batches = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current
        return epochs.processed, batches.processed if epochs.ready > epochs.processed else 0

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer and not ALONE.get() else (0, 1)

    def loader(self, data: Rows | WithoutLabels | EpisodeRows, sampler: Iterable[Tensor], *numbers: int) -> DataLoader[Any]:
        """A loader of the rows of ``data``, a batch at each index that ``sampler`` gives. What it draws follows seed and ``numbers``."""
        draws = may_draw(data)
        rows: Any = Seeded(data) if draws else data
        # A batch of rows is one index, so that reading it is one call. With a generator of its own a loader draws nothing
        # from the run's, whose state would else depend on when the loader was made: a resumed run makes it earlier.
        return DataLoader(
            rows,
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
        """The measured rows: the source's held-out rows, and the target's test rows or all of them."""
        assert self.domains is not None
        source, target = self.domains
        assert source.test is not None
        apart = target.test is not None and self.validate_on != "holdout"
        return source.test, target.test if apart and target.test is not None else target.train

    @property
    def places(self) -> list[Place]:
        """The measured places, in the order of the evaluation loaders."""
        names = (domain.name for domain in self.loaded)
        found = [Place(n, role, rows) for n, role, rows in zip(names, ROLES, self.evaluation_rows, strict=True)]
        found[1] = found[1]._replace(pooled=self.targets if len(self.targets) > 1 and self.stream is None else ())
        return [*found, found[1]._replace(apart=True)] if self.validate_on == "holdout" else found

    @property
    def measures_target(self) -> bool:
        """Whether any of the target's rows that are measured has a label."""
        return bool(self.task.known(self.evaluation_rows[1].labels).any())

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """The loaders of what is validated, the source's and the target's, whose rows ``validate_on`` chooses."""
        source, target = self.evaluation_rows
        if self.validate_on == "train":
            assert self.domains is not None
            if not self.task.classes:
                raise UserError(f"--data.validate_on is for measures without labels, and {type(self.task).__name__} has none: leave it out")
            target = self.domains[1].train
        validated = [source, target]
        if self.validate_on == "holdout":
            assert self.domains is not None
            assert self.domains[1].test is not None
            validated = [source, self.domains[1].test, target]
        return [self._evaluation(data, number) for number, data in enumerate(validated)]

    def test_dataloader(self) -> list[DataLoader[Any]]:
        # A target without labels comes last, and is left out: it is validated without them, and predicted.
        rows = self.evaluation_rows[: 2 if self.measures_target else 1]
        tested = [self._tested(data) for data in rows]
        return [self._streamed(data) if number and self.stream else self._evaluation(data, number) for number, data in enumerate(tested)]

    def _streamed(self, data: Rows) -> DataLoader[Any]:
        """The loader of the target's ``data`` as a stream."""
        assert self.stream is not None
        if self._processes()[1] > 1:
            raise UserError("--data.stream has one order, which several processes would share out: set --trainer.devices 1")
        rows = self.stream.rows(data)
        return self.loader(rows, self.stream.batches(data.labels, self.seed), 1, 0)

    def predict_dataloader(self) -> DataLoader[Any]:
        target = self.loaded[1]
        return self._evaluation(self._tested(target.test if target.test is not None else target.train))

    def _tested(self, data: Rows) -> Rows:
        return Viewed(data, "ten") if self.ten_crop else data


def _as_is(batch: Any) -> Any:
    return batch
