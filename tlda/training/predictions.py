"""The CSV that `tlda predict` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from tlda.batch import Prediction
from tlda.data.pair import DomainPair
from tlda.training.processes import of_all
from tlda.writing import write_text


class Predictions(Callback):
    """Writes the rows that all processes predict into one file at ``path``, by the first of them."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.own: list[Prediction] = []

    def on_predict_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *args: Any) -> None:
        self.own.append(Prediction(*(column.cpu() for column in outputs)))

    def on_predict_end(self, trainer: Trainer, *args: Any) -> None:
        parts, self.own = of_all(self.own), []
        if trainer.is_global_zero:
            write_predictions(self.path, [prediction for part in parts for prediction in part], trainer.datamodule)  # type: ignore[attr-defined]


def write_predictions(path: str | Path, predictions: Iterable[Prediction], data: DomainPair) -> None:
    """Write ``file`` (or row number), ``class`` and ``confidence`` (0..1) of each row of the target."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("file", "class", "confidence"))
    found = (torch.cat(column).tolist() for column in zip(*predictions, strict=True))
    for row, label, confidence in sorted(zip(*found, strict=True)):
        writer.writerow((data.describe_row(row), data.class_names[label], f"{confidence:.6f}"))
    write_text(Path(path), text.getvalue())
