"""What a network writes at the end of a fit, in the run's folder and at W&B."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.tiny_causal import tiny_causal, write_corpora
from tests.helpers.toy import Tiny, trainer
from tests.tasks.test_caption import Spots
from tlda.backbones import LanguageModel
from tlda.data import Corpus
from tlda.methods import FineTune, SourceOnly
from tlda.report import pictures


def test_the_continuations_of_some_rows_are_written_and_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, Any] = {}

    class Tracker:
        def log_text(self, name: str, columns: list[str], rows: list[list[str]]) -> None:
            logged[name] = [dict(zip(columns, row, strict=True)) for row in rows]

    monkeypatch.setattr(pictures, "trackers", lambda loggers: [Tracker()])
    source, target = write_corpora(tmp_path)
    data = Corpus(source, target, tokenizer=tiny_causal(), max_length=32, batch_size=4, steps=2, holdout=0.5)
    method = FineTune(backbone=LanguageModel(name=tiny_causal()), task=data.task, pretrain=0.0)
    trainer(1, limit_val_batches=0, callbacks=[pictures.Pictures(tmp_path)]).fit(method, data)
    rows = list(csv.DictReader((tmp_path / "samples.csv").open(newline="")))
    assert rows == logged["samples"]
    assert len(rows) == 4
    start = int(rows[1]["file"].rpartition(" ")[2])
    assert rows[1]["text"] == Path(target).read_text()[start : start + 24]
    assert all(len(row["continuation"]) <= 16 for row in rows)


def test_the_captions_of_some_pictures_are_written(tmp_path: Path) -> None:
    method = SourceOnly(backbone=Tiny(), task=Spots().task)
    trainer(1, limit_val_batches=0, callbacks=[pictures.Pictures(tmp_path)]).fit(method, Spots())
    rows = list(csv.DictReader((tmp_path / "samples.csv").open(newline="")))
    assert len(rows) == 4
    assert all(set(row["caption"].split()) <= set(Spots().task.words) for row in rows)
