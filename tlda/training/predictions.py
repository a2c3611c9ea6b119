"""The CSV that `tlda predict` writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import torch

from tlda.batch import Prediction
from tlda.data.pair import DomainPair
from tlda.writing import write_text


def write_predictions(path: str | Path, predictions: Iterable[Prediction], data: DomainPair) -> None:
    """Write ``file`` (or row number), ``class`` and ``confidence`` (0..1) of each row of the target."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("file", "class", "confidence"))
    found = (torch.cat(column).tolist() for column in zip(*predictions, strict=True))
    for row, label, confidence in sorted(zip(*found, strict=True)):
        writer.writerow((data.describe_row(row), data.class_names[label], f"{confidence:.6f}"))
    write_text(Path(path), text.getvalue())
