"""What keeps the trainer's own cost per step small: a progress bar drawn seldom, no profiler, and a note taken quickly."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.profilers import PassThroughProfiler

INTERVAL = 0.2
"""Seconds between two drawings of the bar."""


class Progress(TQDMProgressBar):
    """A plain bar, drawn a few times a second and at the end of each epoch.

    Lightning's default, which draws with rich at every batch, made a step of a small network half as long again.
    """

    drawn = 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
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
