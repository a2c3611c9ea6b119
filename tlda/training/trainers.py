"""What a method asks of its trainer, and what it tells it."""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.strategies import DDPStrategy

from tlda.data.seeds import run_seed
from tlda.errors import UserError
from tlda.training.lightning import callbacks_of
from tlda.training.trained import Trained


def progress_of(trainer: Trainer) -> float:
    """The share of its training batches that ``trainer`` has done, in 0..1."""
    # Batches, not global_step, which counts every optimizer's steps under manual optimization.
    batches = trainer.num_training_batches
    limits = (trainer.max_epochs or -1) * batches, batches_of(trainer.max_steps, batches, trainer.accumulate_grad_batches)
    total = min((limit for limit in limits if 0 < limit < math.inf), default=None)
    return time_share(trainer) if total is None else float(min(1.0, trainer.fit_loop.total_batch_idx / total))


def time_share(trainer: Trainer) -> float:
    """The share of its time that ``trainer`` has used, in 0..1, the same in all processes; its Timer says how much it has."""
    timer = next((callback for callback in callbacks_of(trainer) if isinstance(callback, Timer)), None)
    if timer is None or (left := timer.time_remaining()) is None:
        raise UserError(
            "the run has no end, and ramps follow the share of it that is done: give --trainer.max_epochs, max_steps or max_time"
        )
    used = timer.time_elapsed()
    return float(trainer.strategy.broadcast(min(1.0, used / max(used + left, 1e-9))))


def batches_of(steps: int, batches: float, accumulated: int) -> float:
    """The training batches of so many optimizer ``steps``, each after ``accumulated`` batches, or at the end of an epoch of ``batches``."""
    if steps * accumulated <= batches:  # within the first epoch, which may have no end
        return steps * accumulated
    epochs, rest = divmod(steps, math.ceil(batches / accumulated))
    return epochs * batches + rest * accumulated


def batch_seed(trainer: Trainer) -> int:
    """What the random numbers of a training batch follow where all processes are to draw the same."""
    return 1_000_003 * run_seed() + int(trainer.fit_loop.total_batch_idx)


def logs_this_step(trainer: Trainer) -> bool:
    """Whether the values of this step reach a logger."""
    run: Any = trainer
    return bool((run.fit_loop.epoch_loop._batches_that_stepped + 1) % run.log_every_n_steps == 0)


def log_short_runs(trainer: Trainer) -> None:
    """Log the losses of a run of fewer steps than lie between two entries ten times, where they would not be logged at all."""
    limits = trainer.num_training_batches * (trainer.max_epochs or -1) / trainer.accumulate_grad_batches, trainer.max_steps
    steps = min((limit for limit in limits if limit > 0), default=math.inf)
    run: Any = trainer
    if trainer.loggers and steps < run.log_every_n_steps:
        run.log_every_n_steps = max(1, int(steps) // 10)


def expect_unused_parameters(method: Trained) -> None:
    """Tell several processes that a backward pass may not reach all parameters, for the others of which plain DDP would wait for ever.

    So it is where each step has several optimizers, and where parameters are frozen.
    """
    if (method.tuning.freezes or not method.automatic_optimization) and isinstance(method.trainer.strategy, DDPStrategy):
        method.trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)


def refuse_float16(method: Trained) -> None:
    """Raise :class:`UserError` where ``method`` has several optimizers at 16-mixed."""
    if method.trainer.precision == "16-mixed" and len(method.trainer.optimizers) > 1:
        # One loss scale for several optimizers: each change of it would halve the gradient of the next one unseen.
        raise UserError(f"{type(method).__name__} has several optimizers, which 16-mixed breaks; use --trainer.precision bf16-mixed")


def refuse_max_steps(method: Trained) -> None:
    """Raise :class:`UserError` where a run's length is given in optimizer steps, and ``method`` makes some of its own."""
    trainer: Any = method.trainer
    if not method.automatic_optimization and trainer.max_steps > 0 and not trainer.fast_dev_run:
        raise UserError(
            f"{type(method).__name__} makes optimizer steps of its own, of which --trainer.max_steps would count every one: "
            "give the length of the run by --trainer.max_epochs"
        )


def let_clip(method: Trained) -> None:
    """Let the trainer clip the gradients of ``method``, if it is told to.

    It refuses to where an optimizer says, as fused ones do, that its step undoes the scaling of the loss. Where one does not say so, the
    gradients are clipped after that, and a step is the same.
    """
    if method.trainer.gradient_clip_val:
        optimizers: list[Any] = method.trainer.optimizers
        for optimizer in optimizers:
            optimizer._step_supports_amp_scaling = False
