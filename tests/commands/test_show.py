"""``tlda show`` says what a run or a checkpoint is."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch

from tests.conftest import Tlda
from tlda.commands.show import numbers, rounded, shown, task


def test_a_run_is_described_by_what_it_was_made_from(tlda: Tlda, trained: Path) -> None:
    done = tlda("show", trained)
    assert done.code == 0, done.err
    with (trained / "metrics.csv").open() as file:
        accuracy = next(row["test/target/accuracy"] for row in csv.DictReader(file) if row["test/target/accuracy"])
    protocol = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["tlda"]["protocol"]
    for line in (
        f"protocol       {protocol}",
        "seed           0",
        "task           Classification of 10 classes: 0, 1,",
        "model          DANN",
        "--model.backbone LeNet",
        "data           Digits",
        "--data.source fonts",
        f"test/target/accuracy                   {float(accuracy):.4f}",
    ):
        assert line in done.out, line


def test_a_run_without_a_checkpoint_is_that_of_its_configuration(trained: Path, tmp_path: Path) -> None:
    shutil.copy(trained / "config.yaml", tmp_path)
    of_file = [line for line in shown(tmp_path) if line[0] in ("seed", "protocol", "model", "data")]
    assert of_file == [line for line in shown(trained) if line[0] in ("seed", "protocol", "model", "data")]
    assert ("numbers", f"none in {tmp_path / 'metrics.csv'}") in shown(tmp_path)


def test_nothing_that_a_checkpoint_names_is_run(trained: Path, tmp_path: Path, tlda: Tlda) -> None:
    found = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    found["tlda"]["model"]["class_path"] = "evil.Method"
    torch.save(found, tmp_path / "other.ckpt")
    Path("evil.py").write_text("raise SystemExit('it ran')")
    done = tlda("show", "other.ckpt")
    assert done.code == 0, done.err
    assert "model          Method" in done.out
    assert "run            unknown" in done.out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none", "no checkpoint at none"), ("folder", "no checkpoints/last.ckpt"), ("text.ckpt", "not a readable checkpoint")],
)
def test_what_is_neither_is_one_sentence(tlda: Tlda, name: str, sentence: str) -> None:
    Path("folder").mkdir()
    Path("text.ckpt").write_text("text")
    done = tlda("show", name)
    assert done.code == 1
    assert len(done.sentences) == 1
    assert sentence in done.err


def test_a_run_without_a_test_shows_its_validation(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,val/source/accuracy,train/loss\n0,1,,2.0\n0,1,0.5,\n1,2,0.75,\n")
    assert [value for _, value in numbers(tmp_path)][1:] == [f"{'val/source/accuracy':<38} 0.7500"]
    assert rounded("much") == "much"
    assert task({"class_path": "tlda.tasks.regression.Regression", "init_args": {}}) == "Regression"
