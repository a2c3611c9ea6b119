"""The hooks that Lightning calls: checks before a run, the schedule of each step, and what a checkpoint keeps."""

from __future__ import annotations

from typing import Any

import torch

from tlda.data.seeds import run_seed
from tlda.optim import set_learning_rates
from tlda.training.checkpoint import describe, load_weights, refuse_other
from tlda.training.companions import refuse_companions, refuse_scheduler
from tlda.training.finite import FiniteWatch
from tlda.training.fitting import measures_of, refuse_data
from tlda.training.measured import Measured
from tlda.training.resume import KEY, go_on, keep
from tlda.training.target import source_risk
from tlda.training.trainers import expect_unused_parameters, let_clip, log_short_runs, progress_of, refuse_float16, refuse_max_steps
from tlda.training.wandb_logger import go_on_with, keep_run, trackers


class Hooked(Measured):
    """A module with losses, a schedule and a tuning, whose hooks keep the rules of a run. The hooks call each other's ``super``."""

    _kept: list[Any] | None = None

    def setup(self, stage: str) -> None:
        """Check that trainer, data and method fit, make the metrics, and load the weights of ``init_from``."""
        refuse_companions(self, stage)
        refuse_data(self)
        self.measures = measures_of(self)
        for tracker in trackers(self.trainer.loggers):
            tracker.directions = self.measures.directions()
        expect_unused_parameters(self)
        if self.init_from:
            loaded = load_weights(self, self.init_from)
            self.averaging.parts |= loaded
            if "head" not in loaded:
                self.network.write_head()
            self.init_from = None  # a test after a fit must not start over

    def on_fit_start(self) -> None:
        """Check the trainer options that only training reads, and let each loss look at the network."""
        refuse_float16(self)
        refuse_max_steps(self)
        refuse_scheduler(self)
        let_clip(self)
        self.averaging.begin(self.network)
        self._watch = FiniteWatch()
        losses: Any = self.losses.values()
        for loss in losses:
            loss.begin(self)

    def on_train_start(self) -> None:
        go_on(self, self._kept)
        log_short_runs(self.trainer)

    def on_train_epoch_start(self) -> None:
        # Dropout and augmentation become a function of (seed, epoch, rank), so that a resumed run equals an uninterrupted one.
        torch.manual_seed(1_000_003 * run_seed() + 1_009 * self.current_epoch + self.global_rank)

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        self.progress = progress_of(self.trainer)
        learner: Any = self
        self.tuning.apply(learner)
        set_learning_rates(self.trainer.optimizers, self.schedule(self.progress) * self.tuning.rate(self.progress))

    def on_train_batch_end(self, outputs: object, batch: object, batch_idx: int) -> None:
        self.averaging.follow(self.network)

    def on_validation_start(self) -> None:
        if self.is_fitting:
            if not self.trainer.sanity_checking:
                self.averaging.watch(lambda: source_risk(self))
            self.averaging.enter(self.network)

    def on_validation_end(self) -> None:
        if self.is_fitting:
            self.averaging.leave(self.network)

    def on_train_end(self) -> None:
        self.averaging.enter(self.network)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        describe(self, checkpoint)
        keep(self, checkpoint)
        self.averaging.keep(checkpoint, self.network)
        if self._trainer is not None:
            keep_run(self.trainer, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        refuse_other(self, checkpoint)
        self.averaging.go_on(checkpoint, self.is_fitting)
        self._kept = checkpoint.get(KEY)
        if self.is_fitting:
            go_on_with(self.trainer, checkpoint)
