"""What stands beside a method in a trainer works, or is refused in one sentence before anything is trained."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EarlyStopping,
    EMAWeightAveraging,
    LearningRateFinder,
    ModelCheckpoint,
    StochasticWeightAveraging,
)

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.errors import UserError
from tlda.method import Method
from tlda.methods import MCD, SourceOnly
from tlda.training.companions import refuse_sharding
from tlda.training.trainers import log_short_runs, progress_of


class Untrained(Callback):
    """Fails where a batch is trained on."""

    def on_train_batch_start(self, *args: Any) -> None:
        pytest.fail("it was trained")


def method() -> Method:
    return SourceOnly(backbone=Tiny(), task=CLASSES)


def refused(sentence: str, learner: Method | None = None, **options: Any) -> None:
    callbacks = [*options.pop("callbacks", []), Untrained()]
    with pytest.raises(UserError, match=sentence):
        trainer(1, callbacks=callbacks, **{"num_sanity_val_steps": 2, **options}).fit(learner or method(), Toy())


@pytest.mark.parametrize(
    ("callback", "sentence"),
    [
        (StochasticWeightAveraging(0.1), "StochasticWeightAveraging sets a learning rate, .* use --model.average EMA"),
        (LearningRateFinder(), "LearningRateFinder tries learning rates, .* set --model.optimizer.lr"),
        (BatchSizeFinder(), "BatchSizeFinder chooses the size of a batch, .* set --data.batch_size"),
        (BackboneFinetuning(), "BackboneFinetuning freezes layers .* --model.tuning"),
        (EarlyStopping("val/source/acuracy"), "EarlyStopping follows 'val/source/acuracy', which nothing .*mean 'val/source/accuracy'"),
        (EarlyStopping("val_loss"), "EarlyStopping follows 'val_loss', which nothing measures; known: .*oracle/target/accuracy"),
        (ModelCheckpoint(monitor="val/target/entrpy"), "ModelCheckpoint follows 'val/target/entrpy', .*did you mean 'val/target/entropy'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_callback_that_would_not_do_what_it_says_is_refused(callback: Callback, sentence: str) -> None:
    refused(sentence, callbacks=[callback], enable_checkpointing=isinstance(callback, ModelCheckpoint))


def test_without_a_validation_before_training_the_first_one_tells() -> None:
    with pytest.raises(UserError, match="EarlyStopping follows 'val/accuracy', which nothing measures; did you mean 'val/source/accuracy'"):
        trainer(2, callbacks=[EarlyStopping("val/accuracy")]).fit(method(), Toy())


def test_what_is_measured_may_be_followed() -> None:
    names = ("val/source/accuracy", "oracle/target/accuracy", "val/target/entropy", "val/target/mixval", "train/loss", "lr/head")
    callbacks: list[Callback] = [EarlyStopping(name) for name in names]
    trainer(1, callbacks=callbacks, num_sanity_val_steps=2, log_every_n_steps=1).fit(method(), Toy())


@pytest.mark.parametrize(
    ("name", "every", "sentence"),
    [
        ("train/los", 1, "EarlyStopping follows 'train/los', which nothing logs; did you mean 'train/loss'"),
        ("lr/bakcbone", 1, "which nothing logs; did you mean 'lr/backbone'"),
        ("train/loss", 50, "no step before the first validation is logged: give a smaller --trainer.log_every_n_steps than 50"),
    ],
)
def test_what_training_logs_is_checked_after_the_first_epoch(name: str, every: int, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        trainer(2, callbacks=[EarlyStopping(name)], num_sanity_val_steps=2, log_every_n_steps=every).fit(method(), Toy())


def test_overfit_batches_is_refused() -> None:
    refused("overfit_batches reads one row after the other, .* --trainer.limit_train_batches", overfit_batches=2)


def test_a_checkpoint_by_time_is_refused_where_it_would_never_be_written() -> None:
    keep = ModelCheckpoint(train_time_interval=timedelta(seconds=1))
    learner = MCD(backbone=Tiny(), task=CLASSES)
    refused("never saves under MCD, .* give it every_n_epochs", learner, callbacks=[keep], enable_checkpointing=True)


class Scheduled(SourceOnly):
    """Has a scheduler of PyTorch's."""

    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)]  # type: ignore[arg-type]


def test_a_scheduler_beside_the_schedule_is_refused() -> None:
    refused("Scheduled.configure_optimizers returns a scheduler, .* as a Schedule", Scheduled(backbone=Tiny(), task=CLASSES))


def test_what_is_named_instead_of_weight_averaging_works() -> None:
    learner, start = method(), method()
    learner.load_state_dict(start.state_dict())
    trainer(2, callbacks=[EMAWeightAveraging(decay=0.5)]).fit(learner, Toy())
    assert not torch.equal(learner.head.weight, start.head.weight)


def test_a_trainer_that_would_divide_the_rows_again_is_refused() -> None:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    run: Any = Trainer(devices=2, accelerator="cpu", strategy="ddp_spawn", **quiet)  # type: ignore[arg-type]
    run.datamodule = Toy()
    with pytest.raises(UserError, match=r"the trainer would divide them again: make it with Trainer\(use_distributed_sampler=False\)"):
        refuse_sharding(run)
    own: Any = Trainer(devices=2, accelerator="cpu", strategy="ddp_spawn", use_distributed_sampler=False, **quiet)  # type: ignore[arg-type]
    own.datamodule = Toy()
    refuse_sharding(own)


class Ramp(Callback):
    """Keeps how far the run said that it was at each batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        self.seen.append(pl_module.progress)


@pytest.mark.slow
def test_ramps_of_an_endless_run_follow_its_time() -> None:
    ramp = Ramp()
    trainer(-1, max_time=timedelta(seconds=0.5), limit_val_batches=0, callbacks=[ramp]).fit(method(), Toy())
    assert ramp.seen == sorted(ramp.seen)
    assert ramp.seen[0] < 0.2
    assert 0.8 < ramp.seen[-1] <= 1.0


def test_a_run_without_end_or_time_is_refused() -> None:
    with pytest.raises(UserError, match=r"the run has no end, .* give --trainer.max_epochs, max_steps or max_time"):
        trainer(-1).fit(method(), Toy())


@pytest.mark.parametrize(("epochs", "steps", "every"), [(1, 4, 1), (2, 12, 2), (5, 10, 50), (-1, math.inf, 50)])
def test_a_run_of_few_steps_logs_its_losses(epochs: int, steps: float, every: int) -> None:
    class Run:
        loggers, log_every_n_steps, accumulate_grad_batches, max_steps = [object()], 50, 1, -1

    run: Any = Run()
    run.max_epochs, run.num_training_batches = epochs, steps
    log_short_runs(run)
    assert run.log_every_n_steps == every


def test_progress_is_of_batches_where_their_number_is_known() -> None:
    run = trainer(2)
    run.fit(method(), Toy())
    assert progress_of(run) == pytest.approx(11 / 12)
