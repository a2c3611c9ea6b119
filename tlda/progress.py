"""The progress bar, which costs a training step nothing."""

from __future__ import annotations

import time
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar

INTERVAL = 0.2
"""Seconds between two drawings. Lightning draws at every batch, which takes a millisecond each time."""


class Progress(RichProgressBar):
    """Lightning's bar, drawn a few times a second and at the end of each epoch."""

    drawn = 0.0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.monotonic()
        if now - self.drawn >= INTERVAL or batch_idx + 1 == trainer.num_training_batches:
            self.drawn = now
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
