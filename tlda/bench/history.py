"""The metrics of a run after each epoch."""

from __future__ import annotations

import math

from pytorch_lightning import Callback, LightningModule, Trainer


class History(Callback):
    """Collects the metrics of validation epoch by epoch; a value that is not finite becomes None."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float | None]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(("val/", "oracle/"))}
        self.epochs.append({name: value if math.isfinite(value) else None for name, value in found.items()})
