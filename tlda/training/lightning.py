"""The one home of Lightning's private names: what keeps its cost per step small, and where a run goes on from a checkpoint."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loops.evaluation_loop import RestartStage as EvaluationStage
from pytorch_lightning.loops.evaluation_loop import _EvaluationLoop
from pytorch_lightning.loops.fit_loop import RestartStage
from pytorch_lightning.loops.loop import _Loop
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.utilities.types import STEP_OUTPUT

from tlda.data.pair import DomainPair

INTERVAL = 0.2
"""Seconds between two drawings of the bar."""


class Progress(TQDMProgressBar):
    """A plain bar, drawn a few times a second and at the end of each epoch.

    Lightning's default, which draws with rich at every batch, made a step of a small network half as long again.
    """

    drawn = 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: object, batch_idx: int) -> None:
        now = time.monotonic()
        if now - self.drawn >= INTERVAL or batch_idx + 1 == trainer.num_training_batches:
            self.drawn = now
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


class QuickNotes:
    """A module that Lightning notes the running hook in."""

    def __setattr__(self, name: str, value: Any) -> None:
        # It does so forty times a step, and nn.Module looks at each value for parameters: a tenth of a millisecond.
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)


class Unprofiled(PassThroughProfiler):
    """No profiling, by one context that does nothing. Lightning's own makes a new one seventy times a step."""

    nothing: contextlib.AbstractContextManager[None] = contextlib.nullcontext()

    def profile(self, action_name: str) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        """The context that does nothing."""
        return self.nothing


# What was measured


def print_whole_names() -> None:
    """Let validation and test print what they measured a line each. Lightning's table cuts names off where a terminal is narrow."""
    _EvaluationLoop._print_results = staticmethod(_print_results)  # type: ignore[method-assign]


def _print_results(results: Sequence[Mapping[str, Any]], stage: str) -> None:
    values = {name.split("/dataloader_idx_")[0]: float(value) for result in results for name, value in result.items()}
    width = max(map(len, values), default=0)
    for name in sorted(values):
        print(f"{name:<{width}}  {values[name]:.6g}")


# A run that goes on from a checkpoint


def settle(trainer: Trainer) -> None:
    """Let a run that goes on from a checkpoint begin where that was written, to the batch, as it is about to train.

    Lightning itself begins an epoch without its hooks after a checkpoint of an epoch's last batch, leaves out a validation that was due
    after the batch of a checkpoint, and under ``max_steps`` counts an epoch twice.
    """
    fit: Any = trainer.fit_loop
    epoch = fit.epoch_loop
    if epoch.restarted_on_train_batch_end:
        _settle_after_batch(fit, epoch)
    elif fit.restarting and fit.epoch_progress.current.ready == fit.epoch_progress.current.processed:
        fit.epoch_progress.current.completed = fit.epoch_progress.current.processed
        fit._restart_stage = epoch._restart_stage = RestartStage.NONE
        _Loop.restarting.fset(fit, False)  # type: ignore[attr-defined]  # its own setter is of another mind under max_steps


def _settle_after_batch(fit: Any, epoch: Any) -> None:
    """A checkpoint that was written as a batch ended: what follows a batch is still to be done."""
    if fit.restarted_mid_epoch and epoch.batch_progress.is_last_batch:
        for progress in (fit.epoch_progress.current, fit.epoch_progress.total):  # the epoch is not over before its validation
            progress.processed -= 1
            progress.completed -= 1
    epoch.batch_progress.increment_completed()
    epoch._restart_stage, epoch.val_loop._restart_stage = RestartStage.NONE, EvaluationStage.RESTARTED_MID_EVALUATION
    epoch.val_loop.restarting = False
    if not epoch._should_accumulate() and epoch._should_check_val_fx(fit._data_fetcher):
        epoch._batches_that_stepped -= 1  # it is counted once as the loop is taken up, and once after the validation


def in_mid_epoch(trainer: Trainer) -> bool:
    """Whether ``trainer`` has begun an epoch and not ended it."""
    fit: Any = trainer.fit_loop
    return bool(fit.epoch_progress.current.ready > fit.epoch_progress.current.processed)


def accumulates(trainer: Trainer) -> bool:
    """Whether gradients of the last batches wait for more of them."""
    return bool(trainer.accumulate_grad_batches > 1 and trainer.fit_loop.epoch_loop._should_accumulate())


# What a trainer keeps to itself


def data_of(trainer: Trainer) -> DomainPair | None:
    """The data of ``trainer``; None where it was given loaders, or nothing yet."""
    data: DomainPair | None = getattr(trainer, "datamodule", None)
    return data


def transfer_of(trainer: Trainer) -> str | None:
    """The transfer task of the data of ``trainer``; None where there are none."""
    data = data_of(trainer)
    return None if data is None else data.transfer


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """The callbacks of ``trainer``, in a list to which others may be added."""
    run: Any = trainer  # which declares no attribute of that name
    callbacks: list[Callback] = run.callbacks
    return callbacks


def shards_by_itself(trainer: Trainer) -> bool:
    """Whether ``trainer`` divides the rows of its loaders between several processes."""
    connector = trainer._accelerator_connector
    return bool(connector.use_distributed_sampler and connector.is_distributed)


def measured(trainer: Trainer) -> set[str]:
    """The names of what the validation that has just ended measured."""
    return {metric.meta.name for metric in trainer._results.values()} if trainer._results else set()


def requeue_signal(trainer: Trainer) -> int | None:
    """The signal at which ``trainer`` saves and has SLURM start the job anew; None where it does not run there."""
    environment = trainer._accelerator_connector.cluster_environment
    return environment.requeue_signal if isinstance(environment, SLURMEnvironment) and environment.auto_requeue else None


def saves_by_time(callback: Callback) -> bool:
    """Whether ``callback`` saves when some time has passed, as Lightning has it only under automatic optimization."""
    return isinstance(callback, ModelCheckpoint) and callback._train_time_interval is not None
