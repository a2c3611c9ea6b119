"""What every test shares: nothing of the user's is read or written, and the command line is a function."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tlda.cli import main

REPO = Path(__file__).parent.parent
EXPERIMENTS = REPO / "experiments"
TASK = [
    *("-c", str(EXPERIMENTS / "base" / "embedded.yaml")),
    *("-c", str(EXPERIMENTS / "method" / "dann.yaml")),
    *("-c", str(EXPERIMENTS / "task" / "fonts_handwritten.yaml")),
]
"""The three axes: how to train, a method, a task."""
TINY = ["--trainer.max_epochs=1", "--data.steps=2", "--data.batch_size=8", "--trainer.enable_progress_bar=false", "--trainer.precision=32"]
QUICK = [*TINY, "--trainer.enable_checkpointing=false"]
"""So little that a run takes half a second: no checkpoint, and no pictures either."""

HANDWRITTEN = 400
"""How many of scikit-learn's 1,797 digits tests have, since each validation reads them all."""

os.environ["WANDB_MODE"] = "disabled"
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, which the process that hands out the tests never does
gc.disable()  # until all is imported: to look for garbage meanwhile takes a second


@dataclass
class Outcome:
    """What a command came to: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def sentences(self) -> list[str]:
        """What the command itself said on the error stream."""
        return [line for line in self.err.splitlines() if line.startswith("tlda: ")]


Tlda = Callable[..., Outcome]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-numbers", action="store_true", help="write tests/methods/numbers.json anew: see test_numbers.py")


def pytest_collection_finish() -> None:
    """From here on garbage is looked for among what tests make alone, not among a million objects of what they import."""
    import torch

    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # or each step of an optimizer looks for the driver anew
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def whole_digits() -> Iterator[Callable[[], Any]]:
    """What reads all of scikit-learn's digits, as other processes do; in this one tests have the first :data:`HANDWRITTEN`."""
    from sklearn import datasets

    whole = datasets.load_digits

    def few() -> Any:
        digits = whole()
        for name in ("data", "images", "target"):
            digits[name] = digits[name][:HANDWRITTEN]
        return digits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_digits", few)
        yield whole


@pytest.fixture
def all_digits(whole_digits: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the digits, for what is compared with another process."""
    from tlda.data.arrays import Recent

    monkeypatch.setattr("sklearn.datasets.load_digits", whole_digits)
    monkeypatch.setattr("tlda.data.digits.RECENT", Recent(limit=2**30))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that all tests share, in which the digits of fonts are a tenth of what they are: to render and measure all takes seconds."""
    from tlda.data import fonts

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLDA_CACHE", str(folder))
        render = fonts.render
        patch.setattr(fonts, "render", lambda count, seed: render(count // 10, seed))
        fonts.fonts()
    return folder


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """An environment of the test's own."""
    monkeypatch.setenv("TLDA_CACHE", str(cache))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setenv("TLDA_RUN", "")
    monkeypatch.setattr("tlda.report.pictures.ROWS", 20)


@pytest.fixture
def tlda(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tlda:
    """The command line, in this process and in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*args: str | Path) -> Outcome:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """The folder of a finished `tlda fit`."""
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLDA_CACHE", str(cache))
        patch.setenv("TLDA_RUN", "")
        patch.setattr("tlda.report.pictures.ROWS", 20)
        assert main(["fit", *TASK, *TINY, f"--trainer.default_root_dir={root}", "--trainer.log_every_n_steps=1"]) == 0
    (folder,) = (root / "fonts_to_handwritten" / "DANN").iterdir()
    return folder


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of tones, see :mod:`tests.helpers.sounds`."""
    from tests.helpers.sounds import write_rooms

    root = tmp_path_factory.mktemp("sounds")
    write_rooms(root)
    return str(root)
