"""The checkpoint of a run's last state, and how every checkpoint is written."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.utilities.exceptions import SIGTERMException

from tlda.writing import write_bytes


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it: the one that was there before stays until the new one is whole."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object | None = None) -> None:
        """Write ``checkpoint`` to ``path``; a place that is no file, such as ``s3://…``, has a writer of its own."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(Path(path), content.getvalue())


class LastCheckpoint(ModelCheckpoint):
    """The run after its last batch, in its own folder: at the end of each epoch, however one validates, and where it is told to stop."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "checkpoints", filename="last", enable_version_counter=False, save_on_train_epoch_end=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save once more where the run ended within an epoch."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save where a cluster takes the machine back (SIGTERM), which ends a run between two batches."""
        if isinstance(exception, SIGTERMException):
            self.on_train_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a run that goes on from the checkpoint has another folder, and asks for no such callback."""
        return {}

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        if trainer.is_global_zero:
            point_latest(Path(filepath).parent.parent)


def point_latest(folder: Path) -> None:
    """Let ``ROOT/latest`` point to the run in ``folder``, ``ROOT/TASK/METHOD/SEED-STAMP``."""
    root = folder.parents[2]
    link, made = root / "latest", root / f".latest.{os.getpid()}"
    if link.exists() and not link.is_symlink():
        return
    with contextlib.suppress(OSError):  # no links on this file system
        made.symlink_to(folder.relative_to(root), target_is_directory=True)
        made.replace(link)
