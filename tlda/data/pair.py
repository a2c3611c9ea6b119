"""The datamodule that pairs a source and a target domain, for every setting."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor
from torch.utils.data import DataLoader

from tlda.batch import Pair, Sample, Unlabelled
from tlda.data.arrays import digest
from tlda.data.samplers import Once, Steps
from tlda.errors import UserError


class Rows(Protocol):
    """A data set that is read a batch at a time: no Python runs per sample where its rows live in memory."""

    @property
    def labels(self) -> Tensor:
        """The class of each row, (n,)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Sample: ...


@dataclass
class Domain:
    """One domain: its training rows, its test rows where its distributor keeps some apart, and whether labels are known."""

    name: str
    train: Rows
    test: Rows | None = None
    labelled: bool = True


@dataclass
class Subset:
    """Some ``rows`` of a data set."""

    data: Rows
    rows: Tensor

    @property
    def labels(self) -> Tensor:
        return self.data.labels[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Sample:
        return self.data[self.rows[rows]]

    @property
    def digest(self) -> str:
        """A hash of the data and of which rows these are."""
        return digest((_digest(self.data).encode(), self.rows))


@dataclass
class WithoutLabels:
    """A data set whose labels cannot be reached."""

    data: Rows

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Tensor) -> Unlabelled:
        sample = self.data[rows]
        return Unlabelled(sample.x, sample.row)


class Augment(torch.nn.Module):
    """The base of augmentations: a batch of images in 0..1, (n, c, h, w), to another, on its device."""


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
        holdout: the share kept of the source for validation, and of a target whose labels are seen, where there are no test rows.
        augment: augmentations of the training batches, in order.
        num_workers: processes that read data from disk.
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
        seed: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("batch_size", batch_size), ("steps", steps), ("eval_batch_size", eval_batch_size), ("shots", shots)):
            if value is not None and value < 1:
                raise UserError(f"--data.{name} is {value}: it must be at least 1")
        if not 0 < holdout < 1:
            raise UserError(f"--data.holdout is {holdout}: it is a share of the source, between 0 and 1")
        self.batch_size, self.steps, self.eval_batch_size = batch_size, steps, eval_batch_size
        self.shots, self.holdout, self.num_workers = shots, holdout, num_workers
        self.augment = list(augment or ())
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.domains: tuple[Domain, Domain] | None = None

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
        splits = (split for domain in self.loaded for split in (domain.train, domain.test) if split is not None)
        return digest([*(f"{name}\0".encode() for name in self.class_names), *(_digest(split).encode() for split in splits)])

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
        if self.domains is None:
            source, target = self.loaded
            for domain in (source, target):
                if not len(domain.train):
                    raise UserError(f"the domain '{domain.name}' is empty")
            assert self.num_classes >= 2
            seen = {"labelled", "oracle"} & set(self.batch_type._fields)
            if seen and not target.labelled:
                raise UserError(f"the method trains on labels of the target, and '{target.name}' has none")
            self.domains = self._hold_out(source), self._hold_out(target) if seen else target

    @property
    def batch_type(self) -> Any:
        """The type of the method's training batch, whose fields say what is read."""
        return getattr(getattr(self.trainer, "lightning_module", None), "batch_type", Pair)

    def _hold_out(self, domain: Domain) -> Domain:
        if domain.test is not None:
            return domain
        rows = torch.randperm(len(domain.train), generator=torch.Generator().manual_seed(self.seed))
        held = max(1, round(self.holdout * len(rows)))
        return replace(domain, train=Subset(domain.train, rows[held:]), test=Subset(domain.train, rows[:held].sort().values))

    def _few(self, data: Rows) -> Rows:
        if self.shots is None:
            return data
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(self.seed))
        few = [order[data.labels[order] == c][: self.shots] for c in range(self.num_classes)]
        return Subset(data, torch.cat(few))

    def training_rows(self) -> dict[str, Any]:
        """The training rows by the name of the batch's field."""
        assert self.domains is not None
        source, target = self.domains
        return {
            "source": source.train,
            "target": WithoutLabels(target.train),
            "labelled": self._few(target.train),
            "oracle": target.train,
        }

    def train_dataloader(self) -> CombinedLoader:
        rows, batch_type = self.training_rows(), self.batch_type
        data = {field: rows[field] for field in batch_type._fields}
        rank, world_size = self._processes()
        steps = self.steps or max(1, len(next(iter(data.values()))) // (self.batch_size * world_size))
        samplers = [Steps(len(d), self.batch_size, steps, 2 * self.seed + i, rank, world_size) for i, d in enumerate(data.values())]
        for sampler in samplers:
            # A resumed run draws its first rows before Lightning tells the sampler its epoch.
            sampler.set_epoch(self._batches_done // steps)
        loaders = [self.loader(d, sampler) for d, sampler in zip(data.values(), samplers, strict=True)]
        return CombinedLoader(batch_type(*loaders), "min_size")

    @property
    def _batches_done(self) -> int:
        loop = getattr(self.trainer, "fit_loop", None)
        return loop.epoch_loop.batch_progress.total.ready if loop else 0

    def _processes(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def loader(self, data: Any, sampler: Steps | Once) -> DataLoader[Any]:
        """A loader of the rows of ``data``, a batch at each index that ``sampler`` gives."""
        # A batch of rows is one index, so that reading it is one call. With a generator of its own a loader draws nothing
        # from the run's, whose state would else depend on when the loader was made: a resumed run makes it earlier.
        return DataLoader(
            data,
            sampler=sampler,
            batch_size=None,
            collate_fn=_as_is,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            generator=torch.Generator(),
        )

    def _evaluation(self, data: Rows) -> DataLoader[Any]:
        return self.loader(data, Once(len(data), self.eval_batch_size, *self._processes()))

    @property
    def evaluation_rows(self) -> tuple[Rows, Rows]:
        """What is measured: the source's held-out rows, and the target's test rows or all of them."""
        assert self.domains is not None
        source, target = self.domains
        assert source.test is not None
        return source.test, target.test if target.test is not None else target.train

    def val_dataloader(self) -> list[DataLoader[Any]]:
        return [self._evaluation(data) for data in self.evaluation_rows]

    def test_dataloader(self) -> list[DataLoader[Any]]:
        # A target without labels comes last, and is left out: it is validated without them, and predicted.
        labelled = [domain.labelled for domain in self.loaded]
        return [loader for loader, known in zip(self.val_dataloader(), labelled, strict=True) if known]

    def predict_dataloader(self) -> DataLoader[Any]:
        target = self.loaded[1]
        return self._evaluation(target.test if target.test is not None else target.train)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        # A batch that is there already is not walked through: that costs a small net a percent of its step.
        return batch if device.type == "cpu" else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if isinstance(batch, (Sample, Unlabelled)):
            return self.prepare(batch, [])
        augment = self.augment if self.trainer is not None and self.trainer.training else []
        return type(batch)(*(self.prepare(domain, augment) for domain in batch))

    @staticmethod
    def prepare(domain: Any, augment: Sequence[Callable[[Tensor], Tensor]]) -> Any:
        """Images of bytes to floats in 0..1, augmented, on the batch's device."""
        x = domain.x.float().div_(255.0) if domain.x.dtype == torch.uint8 else domain.x
        for change in augment:
            x = change(x)
        return domain._replace(x=x)


def _as_is(batch: Any) -> Any:
    return batch


def _digest(data: Rows) -> str:
    """The data's own ``digest``, which covers images or files too, else the hash of its labels."""
    return getattr(data, "digest", None) or digest((data.labels,))
