"""What a run measured after each epoch."""

from __future__ import annotations

import math

from pytorch_lightning import Callback, LightningModule, Trainer


class History(Callback):
    """Collects the validation's metrics epoch by epoch; what is not finite is None."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float | None]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(("val/", "oracle/"))}
        self.epochs.append({name: value if math.isfinite(value) else None for name, value in found.items()})
