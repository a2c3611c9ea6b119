"""Read a finished run again: its configuration, its curves, and the outputs of its network for both domains."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import Tensor

from tlda.batch import Output, Sample
from tlda.config import build
from tlda.config.overlays import read_yaml
from tlda.config.protocol import class_paths
from tlda.data.pair import DomainPair
from tlda.errors import UserError
from tlda.method import Method
from tlda.tasks import Segmentation
from tlda.tasks.classification import scored
from tlda.training import checkpoint
from tlda.training.fitting import measures_of

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
"""The options of a trainer that writes no files."""


SHOWN = 4
"""The images of the target whose maps are kept."""


class Seen(NamedTuple):
    """The outputs of a network for the rows of a domain, in the order of evaluation, on the CPU; a missing label is -1."""

    features: Tensor
    logits: Tensor
    labels: Tensor

    @property
    def predicted(self) -> Tensor:
        """The predicted classes, (n,)."""
        return self.logits.argmax(1)

    @property
    def labelled(self) -> bool:
        """Whether every row has a label."""
        return bool((self.labels >= 0).all())

    @property
    def accuracy(self) -> float:
        """The fraction of the rows that are right, in 0..1."""
        return float((self.predicted == self.labels).double().mean())


class Mapped(NamedTuple):
    """An image (c, h, w), the label of each pixel (h, w), -1 where it has none, and the class that is predicted for it (h, w)."""

    image: Tensor
    labels: Tensor
    predicted: Tensor


class Outcome(NamedTuple):
    """The outputs of a method for both domains, and the label-free measures of the target by name.

    Where a row is a position of an image, they are those of some positions, and some images of the target are ``mapped`` as a whole.
    """

    source: Seen
    target: Seen
    validators: dict[str, float]
    mapped: Sequence[Mapped] = ()


class Look(LightningModule):
    """Let ``method`` answer every row that is measured, within a trainer, which methods that adapt at test time need."""

    def __init__(self, method: Method, batch_type: type) -> None:
        super().__init__()
        self.method = method
        self.batch_type = batch_type  # by which the data know what they hold out
        self.parts: tuple[list[Seen], list[Seen]] = [], []
        self.mapped: list[Mapped] = []

    def setup(self, stage: str) -> None:
        self.method.measures = measures_of(self.method)

    def on_validation_start(self) -> None:
        self.method.on_test_start()

    def on_validation_end(self) -> None:
        self.method.on_test_end()

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        place = self.method.measures.places[dataloader_idx]
        if place.apart:
            return
        output = self.method.answer(batch.x, place.role)
        _require_finite(output, place.role)
        self.method.measures.validate(self.method, batch, output, dataloader_idx)
        if isinstance(self.method.task, Segmentation):
            if place.role == "target":
                self._map(self.method.task, batch, output)
            ((_, output, batch),) = self.method.task.views(self.method.head, output, batch, place)
            output, batch = self.method.task.sampled(output, batch)
        self.parts[dataloader_idx].append(
            Seen(output.features.float().cpu(), scored(self.method.task, output.logits).float().cpu(), batch.y.cpu())
        )

    def _map(self, task: Segmentation, batch: Sample, output: Output) -> None:
        """Keep the first images, which come in a shuffled order, as :class:`Mapped`."""
        count = SHOWN - len(self.mapped)
        maps = task.pixels(output.logits, batch.x)[:count].argmax(1)
        self.mapped += [Mapped(*(part.cpu() for part in parts)) for parts in zip(batch.x[:count], batch.y[:count], maps, strict=True)]

    def outcome(self) -> Outcome:
        """The collected outputs; they are computed once."""
        values = self.method.measures.validated()
        source, target = (Seen(*map(torch.cat, zip(*parts, strict=True))) for parts in self.parts)
        if isinstance(self.method.task, Segmentation):
            source, target = (_without_void(seen) for seen in (source, target))
        return Outcome(source, target, {name.rsplit("/", 1)[1]: float(value) for name, value in values.items()}, self.mapped)


def _without_void(seen: Seen) -> Seen:
    """The positions that have a label, or all where none has."""
    known = seen.labels >= 0
    return Seen(*(part[known] for part in seen)) if known.any() else seen


def _require_finite(output: Output, role: str) -> None:
    """Raise :class:`UserError` where the network's ``output`` on a batch of the domain ``role`` has no finite numbers."""
    for what, values in output._asdict().items():
        if not bool(values.isfinite().all()):
            raise UserError(
                f"the network's {what} on the {role} are not finite (NaN or infinite): its training diverged; name another run, "
                "or train it anew with a lower rate"
            )


@dataclass
class FinishedRun:
    """A run that ``tlda fit`` has finished in ``folder``: its method and data as they were, with its seed."""

    folder: Path
    method: Method
    data: DomainPair
    trainer: Trainer
    seed: int
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the method, with the losses that were added to it."""
        plus = self.method.recipe["model"]["init_args"].get("plus") or ()
        return " + ".join([type(self.method).__name__, *(loss["class_path"].rsplit(".", 1)[-1] for loss in plus)])

    @property
    def trains_on_certainty(self) -> bool:
        """Whether the method makes the target's predictions certain, by itself or by a loss."""
        losses: Any = self.method.losses.values()
        return self.method.trains_on_certainty or any(loss.trains_on_certainty for loss in losses)

    @cached_property
    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """By name, the logged values: those of training by step, those of an epoch by the number of epochs done."""
        rows = read_metrics(self.folder / "metrics.csv")
        return {name: _curve(rows, name) for name in (rows[0] if rows else ()) if name not in ("epoch", "step")}

    def look(self, data: DomainPair, batch_type: type) -> Outcome:
        """The outputs of the method for the rows of ``data`` on which a method of ``batch_type`` is measured."""
        look = Look(self.method, batch_type)
        self.trainer.validate(look, data, verbose=False)
        self.method.cpu()
        return look.outcome()

    def passed(self, data: DomainPair) -> Sequence[float]:
        """The errors, in 0..1, of a test of the method on the stream of ``data``, part by part."""
        self.trainer.test(self.method, data, verbose=False)
        self.method.cpu()
        return self.method.passed.curve()


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of the file of metrics at ``path``; none where it is not there, or, which is said, nothing that a run wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: value for name, value in row.items() if name and value} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        print(f"tlda: {path} cannot be read ({getattr(error, 'strerror', None) or error}) and is left out: the page has no curves")
        return []
    names = dict.fromkeys(name for row in rows for name in row)
    if lost := [name for name in ("epoch", "step") if rows and name not in names]:
        print(f"tlda: {path} has no '{lost[0]}', which curves are drawn from: those that need it are left out")
    return [dict.fromkeys(names, "") | row for row in rows]


def _curve(rows: Sequence[dict[str, str]], name: str) -> list[tuple[float, float]]:
    """The points of the metric ``name``; rows whose position or value is not a number are left out."""
    by = "step" if name.startswith(("train/", "lr/")) else "epoch"
    points = [(_number(row.get(by, "")), _number(row[name])) for row in rows if row[name]]
    return [(x + 1, y if math.isfinite(y) else math.nan) for x, y in points if x is not None and y is not None and math.isfinite(x)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def load_run(folder: Path) -> FinishedRun:
    """The run in ``folder``, built from its last checkpoint and the configuration beside it.

    Raises:
        UserError: the folder has no checkpoint or no configuration, they are not what a run writes, or do not belong together.
    """
    path, config = folder / "checkpoints" / "last.ckpt", folder / "config.yaml"
    for needed in (path, config):
        if not needed.is_file():
            raise UserError(f"{folder} has no {needed.relative_to(folder)}: name the folder of a run that `tlda fit` has finished")
    found = _configuration(config)
    made = _recipe(path, class_paths(found))  # the user named the folder, and with it the configuration that names the classes
    # The rows that the source holds out are those of the run's seed.
    seeds = (seed for seed in (made.get("seed"), found.get("seed_everything")) if type(seed) is int and 0 <= seed < 2**32)
    seed_everything(next(seeds, 0), verbose=False)
    parts = {
        "model": checkpoint.without_files(made["model"]),
        "data": made["data"],
        "trainer": {"precision": found["trainer"]["precision"]},
    }
    method, data, trainer = build.build(parts, **QUIET, devices=1, use_distributed_sampler=False)
    try:
        method.load_state_dict(checkpoint.read(path)["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{path} has other weights than the network that it names: name the folder of another run") from error
    return FinishedRun(folder, method.eval(), data, trainer, data.seed, found)


def _recipe(path: Path, trusted: Iterable[str] = ()) -> dict[str, Any]:
    """What the checkpoint at ``path`` was made from: a model and data, of tlda's classes or of modules of the ``trusted`` class paths."""
    made = checkpoint.recipe(path, trusted)
    if not {"model", "data"} <= made.keys():
        raise UserError(f"{path} does not say which data it was trained on: train it with `tlda fit`")
    return made


def _configuration(path: Path) -> dict[str, Any]:
    """The configuration that a run wrote at ``path``."""
    read = read_yaml(path)
    found = read if isinstance(read, dict) else {}
    trainer = found.get("trainer")
    if not isinstance(trainer, dict) or trainer.get("precision") is None:
        raise UserError(f"{path} is not the configuration that `tlda fit` wrote there: it has no trainer with a precision; restore it")
    return found


def require_same_task(run: FinishedRun, before: FinishedRun) -> None:
    """Raise :class:`UserError` where ``before`` is of another task than ``run``, or of other data."""
    if run.data.transfer != before.data.transfer:
        raise UserError(
            f"--before {before.folder} is a run of the task {before.data.transfer}, not of {run.data.transfer}: "
            "name one of the same source and target"
        )
    if run.data.fingerprint() != before.data.fingerprint():
        raise UserError(
            f"--before {before.folder} was trained on other data than {run.folder}: the images, their size or the classes differ"
        )
