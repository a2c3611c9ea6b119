"""A finished run, taken up again: its configuration, its curves, and what its network says of both domains."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import LightningModule, Trainer, seed_everything
from torch import Tensor

from tlda.batch import Sample
from tlda.config import build
from tlda.config.overlays import read_yaml
from tlda.data.pair import DomainPair
from tlda.errors import UserError
from tlda.method import Method
from tlda.tasks import Classification
from tlda.training import checkpoint
from tlda.training.fitting import measures_of

QUIET = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
"""The options of a trainer that leaves nothing behind."""


class Seen(NamedTuple):
    """What a network says of a domain's rows, in the order in which they are measured: all on the CPU, a label of -1 for none."""

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
        """The share of the rows that are right, in 0..1."""
        return float((self.predicted == self.labels).double().mean())


class Outcome(NamedTuple):
    """What a method makes of both domains, and the label-free measures of the target by name."""

    source: Seen
    target: Seen
    validators: dict[str, float]


class Look(LightningModule):
    """Asks ``method`` about every row that is measured, within a trainer: what adapts at test time needs one to do so."""

    def __init__(self, method: Method, batch_type: type) -> None:
        super().__init__()
        self.method = method
        self.batch_type = batch_type  # by which the data know what they hold out
        self.parts: tuple[list[Seen], list[Seen]] = [], []

    def setup(self, stage: str) -> None:
        self.method.measures = measures_of(self.method)

    def on_validation_start(self) -> None:
        self.method.on_test_start()

    def on_validation_end(self) -> None:
        self.method.on_test_end()

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        output = self.method.answer(batch.x, self.method.measures.places[dataloader_idx].role)
        self.method.measures.validate(self.method, batch, output, dataloader_idx)
        self.parts[dataloader_idx].append(Seen(output.features.float().cpu(), output.logits.float().cpu(), batch.y.cpu()))

    def outcome(self) -> Outcome:
        """All that was seen, once."""
        values = self.method.measures.validated()
        source, target = (Seen(*map(torch.cat, zip(*parts, strict=True))) for parts in self.parts)
        return Outcome(source, target, {name.rsplit("/", 1)[1]: float(value) for name, value in values.items()})


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
        path = self.folder / "metrics.csv"
        if not path.is_file():
            return {}
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: _curve(rows, name) for name in (rows[0] if rows else ()) if name not in ("epoch", "step")}

    def look(self, data: DomainPair, batch_type: type) -> Outcome:
        """What the method makes of those rows of ``data`` that a method of ``batch_type`` is measured on."""
        look = Look(self.method, batch_type)
        self.trainer.validate(look, data, verbose=False)
        self.method.cpu()
        return look.outcome()


def _curve(rows: Sequence[dict[str, str]], name: str) -> list[tuple[float, float]]:
    by_step = name.startswith(("train/", "lr/"))
    points = [(float(row["step"]) + 1 if by_step else float(row["epoch"]) + 1, float(row[name])) for row in rows if row[name]]
    return [(x, y if math.isfinite(y) else math.nan) for x, y in points]


def load_run(folder: Path) -> FinishedRun:
    """The run in ``folder``, built from its last checkpoint and the configuration beside it.

    Raises:
        UserError: the folder has no checkpoint or no configuration, or its checkpoint does not say what it was made from.
    """
    path, config = folder / "checkpoints" / "last.ckpt", folder / "config.yaml"
    for needed in (path, config):
        if not needed.is_file():
            raise UserError(f"{folder} has no {needed.relative_to(folder)}: name the folder of a run that `tlda fit` has finished")
    made, found = checkpoint.recipe(path), read_yaml(config)
    if not {"model", "data"} <= set(made):
        raise UserError(f"{path} does not say which data it was trained on: train it with `tlda fit`")
    made["model"] = checkpoint.without_files(made["model"])
    seed = found.get("seed_everything")
    # The rows that the source holds out are those of the run's seed.
    seed_everything(seed if isinstance(seed, int) else 0, verbose=False)
    parts = {"model": made["model"], "data": made["data"], "trainer": {"precision": found["trainer"]["precision"]}}
    method, data, trainer = build.build(parts, **QUIET, devices=1, use_distributed_sampler=False)
    if not isinstance(data.task, Classification):
        raise UserError(
            f"{folder} is a run of {type(data.task).__name__}, and a report is of rows with one class each: `tlda test` measures it"
        )
    method.load_state_dict(checkpoint.read(path)["state_dict"])
    return FinishedRun(folder, method.eval(), data, trainer, data.seed, found)


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
