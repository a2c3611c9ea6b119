"""Refuse, before training, callbacks and trainer options that would not do what they say."""

from __future__ import annotations

import re
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import BaseFinetuning, BatchSizeFinder, LearningRateFinder, StochasticWeightAveraging

from tlda.errors import UserError, near
from tlda.metrics.translation import MEASURES
from tlda.training.lightning import callbacks_of, data_of, measured, saves_by_time, shards_by_itself
from tlda.training.trained import Trained

INSTEAD: dict[type, str] = {
    StochasticWeightAveraging: "sets a learning rate, as --model.schedule does at each step: use --model.average EMA, which sets none",
    LearningRateFinder: "tries learning rates, which --model.schedule sets at each step: set --model.optimizer.lr, or search it by "
    "`tlda bench TABLE --tune`",
    BatchSizeFinder: "chooses the size of a batch, which decides the result: set --data.batch_size",
    BaseFinetuning: "freezes layers and sets their rates, as --model.tuning does: use that",
}
"""The callbacks that a run cannot have, and what to use."""


STEPS = ("train/", "lr/")
"""How the names begin of what training logs, of some of its steps."""

LATER = (*STEPS, MEASURES)
"""How the names begin of what a validation before training does not measure."""


def refuse_companions(method: Trained, stage: str) -> None:
    """Raise :class:`UserError` where the trainer of ``method``, which is about to do ``stage``, has what would not do what it says.

    As early as in ``setup``: a finder would have trained by the time that a method hears of the fit.
    """
    trainer = method.trainer
    refuse_sharding(trainer)
    for callback in callbacks_of(trainer) if stage == "fit" else ():
        for kind, why in INSTEAD.items():
            if isinstance(callback, kind):
                raise UserError(f"{type(callback).__name__} {why}")
        if saves_by_time(callback) and not method.automatic_optimization:
            raise UserError(
                f"ModelCheckpoint(train_time_interval=…) never saves under {type(method).__name__}, which makes its own optimizer steps: "
                "give it every_n_epochs"
            )
    run: Any = trainer
    average = method.averaging.average
    if stage == "fit" and average is not None and average.watches_source and run.limit_val_batches == 0:
        raise UserError(
            f"{type(average).__name__} averages over the valley of the loss on the source's held-out rows, and nothing is validated: leave "
            "--trainer.limit_val_batches out"
        )
    if stage == "fit" and run.overfit_batches:
        raise UserError(
            "--trainer.overfit_batches reads one row after the other, and tlda's batches are drawn by seed: for few batches an epoch give "
            "--trainer.limit_train_batches, for few rows choose them in the data"
        )


def refuse_scheduler(method: Trained) -> None:
    """Raise :class:`UserError` where ``method`` has a scheduler of PyTorch's, whose rates its own schedule would replace at each step."""
    if method.trainer.lr_scheduler_configs:
        raise UserError(
            f"{type(method).__name__}.configure_optimizers returns a scheduler, and --model.schedule sets the learning rates at each step: "
            "return the optimizers alone, and write the scheduler as a Schedule, the rate's factor by progress"
        )


def refuse_sharding(trainer: Trainer) -> None:
    """Raise :class:`UserError` where ``trainer`` would give each of several processes a part of the part that the data give it."""
    if shards_by_itself(trainer) and data_of(trainer) is not None:
        raise UserError(
            "the data give each process its own rows, and the trainer would divide them again: make it with "
            "Trainer(use_distributed_sampler=False)"
        )


def refuse_unmeasured(method: Trained) -> None:
    """Raise :class:`UserError` where a callback follows what the first validation, which has just ended, has not measured.

    It is that before training, unless the trainer is told to make none.
    """
    trainer = method.trainer
    if not trainer.sanity_checking and trainer.current_epoch == 0 and not getattr(trainer, "fast_dev_run", False):
        _refuse_unlogged(trainer)
    first = trainer.sanity_checking or (trainer.num_sanity_val_steps == 0 and trainer.current_epoch == 0)
    names = measured(trainer) if first else ()
    for callback in callbacks_of(trainer) if names else ():
        name = getattr(callback, "monitor", None) or "epoch"
        plain = re.sub(r"(_epoch|_step)?(/dataloader_idx_[0-9]+)?$", "", name)  # as Lightning calls what is logged twice
        if not {name, plain} & {*names, "epoch", "step"} and not name.startswith(LATER):
            raise UserError(f"{type(callback).__name__} follows '{name}', which nothing measures{near(name, names)}")


def _refuse_unlogged(trainer: Trainer) -> None:
    """Raise :class:`UserError` where a callback follows what no step that was trained before the first validation has logged."""
    logged = {name for name in trainer.callback_metrics if name.startswith(STEPS)}
    every: Any = trainer
    for callback in callbacks_of(trainer):
        name = getattr(callback, "monitor", None) or "epoch"
        if not name.startswith(STEPS) or name in logged or re.sub(r"_(epoch|step)$", "", name) in logged:
            continue
        if logged:
            raise UserError(f"{type(callback).__name__} follows '{name}', which nothing logs{near(name, logged)}")
        raise UserError(
            f"{type(callback).__name__} follows '{name}', and no step before the first validation is logged: give a smaller "
            f"--trainer.log_every_n_steps than {every.log_every_n_steps}"
        )
