"""Two and three processes come to what one comes to, of as many rows as they do not divide."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from tests.helpers.fresh import fresh
from tests.helpers.several import ROWS
from tests.helpers.several import several as write_several

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What :mod:`tests.helpers.several` wrote, and what it printed."""
    folder = tmp_path_factory.mktemp("several")
    return folder, fresh(write_several, folder, output=folder / "said.txt", WANDB_MODE="disabled", TLDA_RUN="")


def measured(folder: Path) -> dict[str, float]:
    """The metrics of a ``tlda test`` below ``folder``."""
    (path,) = folder.rglob("metrics.csv")
    with path.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    return {name: float(value) for name, value in row.items()}


def test_all_rows_are_predicted_and_written_once(several: tuple[Path, str]) -> None:
    one, two, three = ((several[0] / count / "predictions.csv").read_text(encoding="utf-8") for count in "123")
    assert len(one.splitlines()) == 1 + ROWS
    assert one == two == three
    assert several[1].count("tlda: wrote") == 3  # once a command, however many processes


def test_metrics_are_those_of_one_process(several: tuple[Path, str]) -> None:
    one, two, three = (measured(several[0] / count / "test") for count in "123")
    assert 0 < one["test/target/accuracy"] < 1
    assert one == two == three


def test_pictures_are_of_all_rows(several: tuple[Path, str]) -> None:
    assert several[1].count(f"drawn {ROWS}") == several[1].count("drawn") == 2
    for count in "12":
        assert len(list((several[0] / count).glob("*/*/*/confusion.png"))) == 1


def test_several_processes_go_on_within_an_epoch(several: tuple[Path, str]) -> None:
    whole, resumed = torch.load(several[0] / "states.pt", weights_only=True)
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())
