"""A run folder that is a little off is one sentence, or a page without what is missing."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import Tlda
from tlda.batch import Output
from tlda.commands.report import table_of
from tlda.errors import UserError
from tlda.report.seen import FinishedRun, _configuration, _recipe, _require_finite, load_run, read_metrics
from tlda.training.lightning import _print_results

CLASS: dict[str, Any] = {"class_path": "tlda.methods.DANN", "init_args": {}}


def curves_of(folder: Path, content: str | bytes) -> dict[str, list[tuple[float, float]]]:
    """The curves of a run whose file of metrics has this ``content``."""
    (folder / "metrics.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    run: Any = object.__new__(FinishedRun)
    run.folder = folder
    curves: dict[str, list[tuple[float, float]]] = run.curves
    return curves


WHOLE = "epoch,step,train/a,val/a\n0,4,1.5,\n0,9,,0.25\n1,19,nan,0.5\n"


def test_curves_are_by_step_and_by_epoch(tmp_path: Path) -> None:
    curves = curves_of(tmp_path, WHOLE)
    assert curves["train/a"][0] == (5.0, 1.5)
    assert math.isnan(curves["train/a"][1][1])
    assert curves["val/a"] == [(1.0, 0.25), (2.0, 0.5)]


METRICS: dict[str, tuple[str | bytes, list[tuple[float, float]], str]] = {
    "empty": ("", [], ""),
    "blank": ("\n\n", [], ""),
    "a header alone": ("epoch,step,val/a\n", [], ""),
    "no epoch": ("step,val/a\n3,0.5\n", [], "has no 'epoch'"),
    "no step": ("epoch,val/a\n0,0.5\n", [(1.0, 0.5)], "has no 'step'"),
    "binary": (bytes(range(256)), [], "cannot be read"),
    "too large a field": (f"epoch,step,val/a\n0,1,{'9' * 200_000}\n", [], "cannot be read"),
    "a text": ("epoch,step,val/a\n0,1,x\n1,2,0.5\n", [(2.0, 0.5)], ""),
    "an epoch that is none": ("epoch,step,val/a\nnan,1,0.25\ninf,1,0.25\nx,1,0.25\n1,2,0.5\n", [(2.0, 0.5)], ""),
    "short and long rows": ("epoch,step,val/a\n0\n0,1,0.5,7,8\n", [(1.0, 0.5)], ""),
}


@pytest.mark.parametrize("case", METRICS)
def test_metrics_that_are_a_little_off(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, points, said = METRICS[case]
    csv.field_size_limit(131_072)  # a reader of texts that ran before sets another for the whole process
    assert curves_of(tmp_path, content).get("val/a", []) == points
    out = capsys.readouterr().out
    assert said in out
    assert bool(said) == bool(out)


def test_no_metrics_are_no_curves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_metrics(tmp_path / "metrics.csv") == []
    (tmp_path / "metrics.csv").mkdir()
    assert read_metrics(tmp_path / "metrics.csv") == []
    assert "Is a directory" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[1]", "3", "x", "trainer: [1]", "trainer: {}", "trainer: {precision: null}", "model: {}"])
def test_a_configuration_that_no_run_wrote(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="is not the configuration that `tlda fit` wrote there"):
        _configuration(path)


@pytest.mark.parametrize(
    "made",
    [
        3,
        ["model", "data"],
        {},
        {"model": CLASS},
        {"model": CLASS, "data": None},
        {"model": CLASS, "data": {"class_path": "tlda.data.Digits"}},
        {"model": {"class_path": 3, "init_args": {}}, "data": CLASS},
    ],
)
def test_a_checkpoint_of_something_else(made: Any, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "tlda": made}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match="does not say which data it was trained on"):
        _recipe(tmp_path / "last.ckpt")


def test_the_configuration_of_the_run_says_which_modules_are_trusted(tmp_path: Path) -> None:
    mine = {"class_path": "my_own_report.Mine", "init_args": {}}
    torch.save({"state_dict": {}, "tlda": {"model": mine, "data": CLASS}}, tmp_path / "last.ckpt")
    assert _recipe(tmp_path / "last.ckpt", ["my_own_report.Mine"])["model"] == mine
    with pytest.raises(UserError, match=r"names my_own_report.Mine, which is not tlda's"):
        _recipe(tmp_path / "last.ckpt", ["my_other_report.Mine"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda weights: {}, "has other weights than the network that it names"),
        (lambda weights: [1], "has other weights than the network that it names"),
        (lambda weights: dict.fromkeys(weights, 3), "has other weights than the network that it names"),
    ],
)
def test_a_checkpoint_with_other_weights(change: Callable[[Any], Any], why: str, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    path = tmp_path / "run/checkpoints/last.ckpt"
    found = torch.load(path, weights_only=True)
    torch.save(found | {"state_dict": change(found["state_dict"])}, path)
    with pytest.raises(UserError, match=why):
        load_run(tmp_path / "run")


def test_weights_that_are_no_numbers_are_one_sentence(trained: Path, tlda: Tlda) -> None:
    shutil.copytree(trained, "run")
    path = Path("run/checkpoints/last.ckpt")
    found = torch.load(path, weights_only=True)
    for weight in found["state_dict"].values():
        if weight.is_floating_point():
            weight.fill_(math.nan)
    torch.save(found, path)
    done = tlda("report", "run")
    assert done.code == 1
    (said,) = done.sentences
    assert "the network's features on the source are not finite" in said


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_named(bad: float) -> None:
    good, wrong = torch.zeros(2, 3), torch.full((2, 3), bad)
    _require_finite(Output(good, good), "target")
    with pytest.raises(UserError, match="features on the target"):
        _require_finite(Output(wrong, good), "target")
    with pytest.raises(UserError, match="logits on the source"):
        _require_finite(Output(good, wrong), "source")


@pytest.mark.parametrize("content", [5, [{"a": 1}], "x", None, {"methods": {}}])
def test_a_file_that_is_no_table(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match="neither a run nor a table"):
        table_of(path)


def test_names_of_what_was_measured_are_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    source, target = {"test/source/accuracy/dataloader_idx_0": 0.5}, {"test/target/information_maximization": torch.tensor(2.25)}
    _print_results([source, target], "test")
    assert capsys.readouterr().out == "test/source/accuracy                  0.5\ntest/target/information_maximization  2.25\n"
    _print_results([], "test")
    assert capsys.readouterr().out == ""
