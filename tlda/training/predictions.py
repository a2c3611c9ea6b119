"""The CSV that `tlda predict` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

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
        self.own.append(Prediction(outputs.row.cpu(), outputs.answers))

    def on_predict_end(self, trainer: Trainer, *args: Any) -> None:
        run: Any = trainer
        parts, self.own = of_all(self.own), []
        if trainer.is_global_zero:
            write_predictions(self.path, [prediction for part in parts for prediction in part], run.datamodule)


def write_predictions(path: str | Path, predictions: Iterable[Prediction], data: DomainPair) -> None:
    """Write ``file`` (or row number), and the columns of the task's answers, such as ``class`` and ``confidence``, for each target row."""
    lines = sorted(rows_of(predictions), key=lambda line: line[0])
    columns = list(lines[0][1]) if lines else []
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("file", *columns))
    for row, answers in lines:
        writer.writerow((data.describe_row(row), *(_printed(answers[name]) for name in columns)))
    write_text(Path(path), text.getvalue())


def rows_of(predictions: Iterable[Prediction]) -> Iterator[tuple[int, dict[str, object]]]:
    """The number of each row, and its answers by column."""
    for rows, answers in predictions:
        for i, row in enumerate(rows.tolist()):
            yield row, {name: column[i] for name, column in answers.items()}


def _printed(value: object) -> object:
    return f"{value:.6f}" if isinstance(value, float) else value
