"""A callback that writes checkpoints within an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer


class Saves(Callback):
    """Writes ``after-N.ckpt`` as the N-th batch of the run ends, where ModelCheckpoint writes, for each N of ``batches``."""

    def __init__(self, folder: Path, *batches: int) -> None:
        self.folder, self.batches, self.validated = folder, batches, 0

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        batch = trainer.fit_loop.total_batch_idx + 1
        if batch in self.batches:
            trainer.save_checkpoint(self.folder / f"after-{batch}.ckpt")

    def on_validation_end(self, *args: Any) -> None:
        self.validated += 1
