"""What a method asks of its trainer, and what it tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytorch_lightning.strategies import DDPStrategy

from tlda.errors import UserError

if TYPE_CHECKING:
    from tlda.method import Method


def progress_of(trainer: Any) -> float:
    """The share of its training batches that ``trainer`` has done, in 0..1."""
    # Batches, not global_step, which counts every optimizer's steps under manual optimization.
    limits = (trainer.max_epochs or -1) * trainer.num_training_batches, trainer.max_steps
    total = min((limit for limit in limits if limit > 0), default=1)
    return float(min(1.0, trainer.fit_loop.total_batch_idx / total))


def logs_this_step(trainer: Any) -> bool:
    """Whether the values of this step reach a logger."""
    return bool((trainer.fit_loop.epoch_loop._batches_that_stepped + 1) % trainer.log_every_n_steps == 0)


def expect_unused_parameters(method: Method) -> None:
    """Tell several processes that a backward pass may not reach all parameters, for the others of which plain DDP would wait for ever.

    So it is where each step has several optimizers, and where parameters are frozen.
    """
    if (method.tuning.freezes or not method.automatic_optimization) and isinstance(method.trainer.strategy, DDPStrategy):
        method.trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)


def refuse_float16(method: Method) -> None:
    """Raise :class:`UserError` where ``method`` has several optimizers at 16-mixed."""
    if method.trainer.precision == "16-mixed" and len(method.trainer.optimizers) > 1:
        # One loss scale for several optimizers: each change of it would halve the gradient of the next one unseen.
        raise UserError(f"{type(method).__name__} has several optimizers, which 16-mixed breaks; use --trainer.precision bf16-mixed")
