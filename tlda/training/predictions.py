"""The CSV that `tlda predict` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from tlda.batch import Prediction
from tlda.data.pair import DomainPair
from tlda.training.processes import of_all
from tlda.writing import write_text

Columns = dict[str, list[Any]]
"""Predictions by column: ``file`` (or the row's number), and the answers of the task, such as ``class`` and ``confidence``."""


class Predictions(Callback):
    """Collects the rows that all processes predict into :attr:`columns`, and lets the first process write them to ``path``, if given."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = path
        self.own: list[Prediction] = []
        self.columns: Columns = {}

    def on_predict_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Prediction, *args: Any) -> None:
        self.own.append(Prediction(outputs.row.cpu(), outputs.answers))

    def on_predict_end(self, trainer: Trainer, *args: Any) -> None:
        run: Any = trainer
        parts, self.own = of_all(self.own), []
        self.columns = columns_of([prediction for part in parts for prediction in part], run.datamodule)
        if self.path is not None and trainer.is_global_zero:
            write_predictions(self.path, self.columns)


def columns_of(predictions: Iterable[Prediction], data: DomainPair) -> Columns:
    """The columns of ``predictions``, sorted by the target's rows."""
    lines = sorted(rows_of(predictions), key=lambda line: line[0])
    names = list(lines[0][1]) if lines else []
    return {"file": [data.describe_row(row) for row, _ in lines], **{name: [answers[name] for _, answers in lines] for name in names}}


def write_predictions(path: str | Path, columns: Columns) -> None:
    """Write ``columns`` as CSV, one line per row of the target."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_printed(value) for value in line] for line in zip(*columns.values(), strict=True))
    write_text(Path(path), text.getvalue())


def rows_of(predictions: Iterable[Prediction]) -> Iterator[tuple[int, dict[str, object]]]:
    """The number of each row, and its answers by column."""
    for rows, answers in predictions:
        for i, row in enumerate(rows.tolist()):
            yield row, {name: column[i] for name, column in answers.items()}


def _printed(value: object) -> object:
    return f"{value:.6f}" if isinstance(value, float) else value
