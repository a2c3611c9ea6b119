"""The front door: what a person who writes Python finds by ``import tlda``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch

import tlda as front
from tests.conftest import Tlda
from tlda.backbones import LeNet
from tlda.data import Digits
from tlda.errors import UserError
from tlda.methods import DANN

QUIET: dict[str, Any] = {"max_epochs": 1, "logger": False, "enable_progress_bar": False, "precision": "32-true", "accelerator": "cpu"}


def pair() -> Digits:
    return Digits("fonts", "handwritten", size=16, batch_size=8, steps=2)


def dann() -> DANN:
    return DANN(backbone=LeNet(channels=1, size=16), task=10, hidden=8)


def test_import_takes_no_time_and_no_torch() -> None:
    code = "import sys, time; start = time.perf_counter(); import tlda; print(time.perf_counter() - start, 'torch' in sys.modules)"
    seconds, torch = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert float(seconds) < 0.2
    assert torch == "False"


@pytest.mark.parametrize("name", front.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(front, name) is not None
    assert name in dir(front)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'DANN'"):
        front.DANN  # type: ignore[attr-defined]  # noqa: B018


@pytest.fixture
def run(tlda: Tlda) -> Path:
    """A run's folder, in an empty working folder."""
    return front.fit(dann, pair(), **QUIET)


def test_a_run_is_in_its_folder(run: Path) -> None:
    assert run.parts[:3] == ("runs", "fonts_to_handwritten", "DANN")
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert Path("runs/latest").resolve() == run.resolve()


def test_metrics_and_predictions_are_those_of_the_command_line(tlda: Tlda, run: Path) -> None:
    method = dann()
    method.load_state_dict(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    found = front.test(method, pair(), precision="32-true")
    columns = front.predict(method, pair(), precision="32-true")
    options = ["--trainer.precision=32-true", "--trainer.enable_progress_bar=false"]
    fit = ["--data=Digits", "--data.source=fonts", "--data.target=handwritten", "--data.size=16", "--data.batch_size=8", "--data.steps=2"]
    model = ["--model=DANN", "--model.hidden=8", "--model.backbone=LeNet", "--model.backbone.channels=1", "--model.backbone.size=16"]
    done = tlda("fit", *fit, *model, *options, "--trainer.max_epochs=1")
    assert done.code == 0, done.err
    shown = pandas.read_csv(next(Path("runs").glob("*/DANN/*/metrics.csv")))
    name = "test/target/accuracy"
    assert found[name] == pytest.approx(shown[name].dropna().iloc[-1])
    assert tlda("predict", "--ckpt_path=runs/latest", *options).code == 0
    written = pandas.read_csv("predictions.csv")
    frame = pandas.DataFrame(columns)
    assert list(frame) == list(written)
    assert frame["file"].astype(str).tolist() == written["file"].astype(str).tolist()
    assert frame["class"].astype(str).tolist() == written["class"].astype(str).tolist()
    assert frame["confidence"].tolist() == pytest.approx(written["confidence"].tolist(), abs=1e-5)


def test_the_same_seed_gives_the_same_run(tlda: Tlda) -> None:
    files = [front.fit(dann, pair(), **QUIET, seed=seed) / "checkpoints" / "last.ckpt" for seed in (3, 3, 4)]
    one, two, other = (torch.load(file, weights_only=True)["state_dict"]["network.head.weight"] for file in files)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_epoch": 3}, "the trainer has no option 'max_epoch'; did you mean 'max_epochs'"),
        ({"accumulate_grad_batches": 0}, "--trainer.accumulate_grad_batches is 0: it must be 1 or more"),
        ({"seed": -1}, "--seed_everything is -1"),
        ({"max_epochs": 0}, "--trainer.max_epochs is 0"),
        ({"ckpt_path": "none"}, "there is no checkpoint at none"),
        ({"strategy": "none"}, "strategy"),
    ],
)
def test_what_cannot_be_is_one_sentence(tlda: Tlda, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        front.fit(dann, pair(), **{**QUIET, **options})
    assert not Path("runs").exists()
