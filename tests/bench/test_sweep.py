"""A sweep's file, at W&B and here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPO
from tlda.bench.sweep import Sweep, best, load_sweep, measured, run_sweep
from tlda.errors import UserError

pytest.importorskip("optuna")
FILE = REPO / "docs" / "guides" / "sweep.yaml"


def fake(args: list[str]) -> int:
    """A run whose metric is best at a trade-off of 0.3; it fails at batches of more than 60."""
    options = dict(arg.removeprefix("--").split("=", 1) for arg in args if "=" in arg)
    folder = Path(options["trainer.default_root_dir"]) / "task" / "DANN" / "0-1"
    folder.mkdir(parents=True)
    value = -abs(float(options["model.trade_off"]) - 0.3)
    name = "val/target/information_maximization"
    (folder / "metrics.csv").write_text(f"epoch,step,{name}\n0,1,9\n1,2,{value}\n2,3,\n")
    return int(int(options["data.batch_size"]) > 60)


def test_the_space_of_the_guide_is_searched(tmp_path: Path) -> None:
    sweep = load_sweep(FILE)
    assert (sweep.metric, sweep.maximise) == ("val/target/information_maximization", True)
    seen: list[list[str]] = []

    def run(args: list[str]) -> int:
        seen.append(args)
        return fake(args)

    tried = run_sweep(sweep, 12, tmp_path, run)
    assert seen[0][:7] == ["fit", "-c", "base/embedded", "-c", "method/dann", "-c", "task/fonts_handwritten"]
    assert len(tried) == len({each.values["model.trade_off"] for each in tried}) == 12
    for each in tried:
        assert 0.03 <= each.values["model.trade_off"] <= 3
        assert each.values["model.optimizer.lr"] in (0.0003, 0.001, 0.003)
        assert each.values["data.batch_size"] in range(32, 65)
        assert (each.value is None) == (each.values["data.batch_size"] > 60)
    right = min((each for each in tried if each.value is not None), key=lambda each: abs(each.values["model.trade_off"] - 0.3))
    assert best(sweep, tried) == right


def test_the_guide_shows_the_file() -> None:
    assert FILE.read_text() in FILE.with_name("sweeps.md").read_text()


def test_a_grid_tries_each_value_once(tmp_path: Path) -> None:
    values: dict[str, dict[str, Any]] = {"model.trade_off": {"values": [0.1, 0.3, 1.0]}, "data.batch_size": {"value": 32}}
    sweep = Sweep("grid", "val/target/information_maximization", True, values, ["tlda", "fit", "${args}"])
    tried = run_sweep(sweep, 9, tmp_path, fake)
    assert sorted(each.values["model.trade_off"] for each in tried) == [0.1, 0.3, 1.0]
    assert best(sweep, tried).values["model.trade_off"] == 0.3


def test_a_metric_that_is_not_measured_is_named(tmp_path: Path) -> None:
    assert fake(["--model.trade_off=1", "--data.batch_size=1", f"--trainer.default_root_dir={tmp_path}"]) == 0
    with pytest.raises(UserError, match="do not measure 'val/target/entropy'"):
        measured(tmp_path, "val/target/entropy")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "best"}, "there is no method 'best'"),
        ({"metric": {"goal": "maximize"}}, "the metric needs a name"),
        ({"parameters": {"a": {"min": 1}}}, "'a' needs value, values"),
        ({"parameters": {"a": {"min": 1, "max": 2, "distribution": "beta"}}}, "the distribution 'beta' of 'a'"),
        ({"command": ["python", "x.py"]}, "the command of a sweep is"),
        ({"parameters": None}, "is no sweep"),
    ],
)
def test_what_is_not_understood_is_one_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({**yaml.safe_load(FILE.read_text()), **change}))
    with pytest.raises(UserError, match=sentence):
        load_sweep(tmp_path / "s.yaml")
