"""The front door: what a person who writes Python finds by ``import tlda``."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from pytorch_lightning import Trainer

import tlda as front
from tests.conftest import Tlda
from tlda.backbones import Backbone, LeNet
from tlda.data import Digits
from tlda.errors import Note, UserError
from tlda.losses import MMD
from tlda.methods import DANN, MCC
from tlda.metrics import temperature
from tlda.network import Bottleneck
from tlda.optim import SGD, Constant, Cosine
from tlda.options.recorded import described

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
        front.DANN  # noqa: B018


@pytest.fixture
def run(tlda: Tlda) -> Path:
    """A run's folder, in an empty working folder."""
    return front.fit(dann, pair(), **QUIET)


@pytest.mark.slow
def test_a_run_is_in_its_folder(run: Path) -> None:
    assert run.parts[:3] == ("runs", "fonts_to_handwritten", "DANN")
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert Path("runs/latest").resolve() == run.resolve()


@pytest.mark.slow
def test_metrics_and_predictions_are_those_of_the_command_line(tlda: Tlda, run: Path) -> None:
    found, columns = front.test(run, pair()), front.predict(run, pair(), features="python.npy")
    options = ["--trainer.precision=32-true", "--trainer.enable_progress_bar=false"]
    fit = ["--data=Digits", "--data.source=fonts", "--data.target=handwritten", "--data.size=16", "--data.batch_size=8", "--data.steps=2"]
    model = ["--model=DANN", "--model.hidden=8", "--model.backbone=LeNet", "--model.backbone.channels=1", "--model.backbone.size=16"]
    done = tlda("fit", *fit, *model, *options, "--trainer.max_epochs=1")
    assert done.code == 0, done.err
    shown = pandas.read_csv(next(Path("runs").glob("*/DANN/*/metrics.csv")))
    name = "test/target/accuracy"
    assert found[name] == pytest.approx(shown[name].dropna().iloc[-1])
    assert tlda("predict", "--ckpt_path=runs/latest", "--features=deep/shown.parquet", *options).code == 0
    written = pandas.read_csv("predictions.csv")
    frame = pandas.DataFrame(columns)
    assert list(frame) == list(written)
    assert frame["file"].astype(str).tolist() == written["file"].astype(str).tolist()
    assert frame["class"].astype(str).tolist() == written["class"].astype(str).tolist()
    stored, features = pandas.read_parquet("deep/shown.parquet"), torch.from_numpy(np.load("python.npy"))
    assert list(stored["class"]) == list(frame["class"])
    torch.testing.assert_close(torch.from_numpy(stored.filter(regex=r"^f\d").to_numpy()), features, atol=1e-4, rtol=1e-4)
    probabilities = front.load(run).network.head(features).softmax(1)
    torch.testing.assert_close(torch.from_numpy(frame.filter(like="p_").to_numpy()).float(), probabilities, atol=1e-4, rtol=1e-4)
    assert frame["confidence"].tolist() == pytest.approx(written["confidence"].tolist(), abs=1e-5)


@pytest.mark.slow
def test_a_run_is_calibrated_on_the_held_out_source(tlda: Tlda, run: Path) -> None:
    data = pair()
    with pytest.warns(Note, match=r"of \d+ held-out rows of the source .*: it may not hold on the target"):
        found = front.calibrate(run, data)
    rows = data.evaluation_rows[0]
    sample = rows[torch.arange(len(rows))]
    logits = front.load(run)(sample.x.float() / 255).logits.detach()
    assert found == pytest.approx(temperature(logits, sample.y), rel=1e-3)
    with pytest.warns(Note, match="held-out rows of the source"):
        assert front.calibrate(run, data, weighted=True) != pytest.approx(found, rel=1e-3)


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_checkpoint_needs_nothing_else(tlda: Tlda, run: Path) -> None:
    x = torch.rand(3, 1, 16, 16)
    method = DANN.load_from_checkpoint(run / "checkpoints" / "last.ckpt")
    assert torch.equal(method(x).logits, front.load(run)(x).logits)
    assert method.task.classes == pair().task.classes
    assert isinstance(front.Method.load_from_checkpoint(run), DANN)
    with pytest.raises(UserError, match="holds DANN, not MCC"):
        MCC.load_from_checkpoint(run)
    assert tlda("predict", "--ckpt_path=runs/latest", "--trainer.enable_progress_bar=false").code == 0


@pytest.mark.slow
def test_a_trainer_of_ones_own_writes_it_too(tlda: Tlda, tmp_path: Path) -> None:
    method = DANN(backbone=LeNet(1, size=16), task=10, hidden=8, bottleneck=Bottleneck(12), plus=[MMD(0.5)], optimizer=SGD(0.1))
    trainer = Trainer(max_epochs=1, logger=False, enable_progress_bar=False, use_distributed_sampler=False, accelerator="cpu")
    trainer.fit(method, pair())
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    loaded, x = front.load(tmp_path / "own.ckpt"), torch.rand(3, 1, 16, 16)
    assert torch.equal(loaded(x).logits, method.eval()(x).logits)
    assert (loaded.num_features, loaded.losses["mmd"].trade_off, loaded.optimizer.lr) == (12, 0.5, 0.1)  # type: ignore[comparison-overlap]


@pytest.mark.slow
def test_what_no_checkpoint_can_carry_is_said(tlda: Tlda) -> None:
    run = front.fit(DANN(backbone=Odd(torch.nn.Linear(256, 4)), task=10, hidden=8), pair(), **QUIET)
    with pytest.raises(UserError, match=r"how its network was made \(layer of Odd is an object \(Linear\)"):
        front.load(run)
    same = DANN.load_from_checkpoint(run / "checkpoints" / "last.ckpt", backbone=Odd(torch.nn.Linear(256, 4)), task=10, hidden=8)
    assert front.test(same, pair())["test/target/accuracy"] >= 0


class Odd(Backbone):
    """A backbone made from an object."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__(4)
        self.layer = layer

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DANN(backbone=LeNet(1, size=16), task=10, trade_off=-1.0), "trade_off of DANN is -1.0: it must be 0 or more"),
        (lambda: MMD(-0.5), "trade_off of MMD is -0.5"),
        (lambda: SGD(lr=-1), "lr of SGD is -1"),
        (lambda: Cosine(0.0, 1.0), "warmup of Cosine is 1.0: it must be 0 or more, and below 1"),
        (lambda: LeNet(channels=0), "channels of LeNet is 0"),
    ],
)
def test_an_option_out_of_its_range_is_refused_in_python_too(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()


def test_options_are_remembered_through_copies_and_pickles() -> None:
    for made in (SGD(0.2, momentum=0.5), copy.deepcopy(SGD(0.2, momentum=0.5)), pickle.loads(pickle.dumps(SGD(0.2, momentum=0.5)))):
        assert described(made) == {"class_path": "tlda.optim.SGD", "init_args": {"lr": 0.2, "momentum": 0.5}}
    with pytest.raises(TypeError, match="takes no arguments"):
        Constant(1)
