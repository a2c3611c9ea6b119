"""The search for a table's options: chosen without a target label, resumed from files, shown beside the default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.test_bench import RESULTS, here, write  # noqa: F401
from tests.commands.test_bad_input import refused
from tests.conftest import Tlda
from tlda.bench import tune
from tlda.bench.results import read_results
from tlda.bench.table import load_table
from tlda.bench.tune import with_tuned
from tlda.commands import bench as command
from tlda.errors import UserError

pytest.importorskip("optuna")

SEARCH: dict[str, Any] = {
    "validator": "information_maximization",
    "seeds": [7],
    "space": {"dann": {"model.trade_off": {"low": 0.01, "high": 10, "log": True}}},
}
NARROW = ["--tasks", "fh", "--seeds", "0"]


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_search_takes_the_best_by_its_validator_and_shows_it_beside_the_default(tlda: Tlda) -> None:
    path = write(search=SEARCH, tasks={"hf": None})
    text = path.read_text()
    path.write_text(text.replace("  hf: null\n", ""))
    done = tlda("bench", path, *NARROW, "--tune", "2")
    assert done.code == 0, done.err
    trials = [json.loads(file.read_text()) for file in sorted((RESULTS / "trials").glob("*.json"))]
    assert [(trial["method"], trial["seed"]) for trial in trials] == [("dann_trial_0", 7), ("dann_trial_1", 7)]
    best = max(trials, key=lambda trial: trial["history"][-1]["val/target/information_maximization"])
    tuned = json.loads((RESULTS / "tuned.json").read_text())["dann"]
    trade_off = best["config"]["model"]["init_args"]["trade_off"]
    assert tuned["values"]["model.trade_off"] == pytest.approx(trade_off)
    assert 0.01 <= trade_off <= 10

    row = json.loads((RESULTS / "dann_tuned-fh-0.json").read_text())
    assert row["config"]["model"]["init_args"]["trade_off"] == pytest.approx(trade_off)
    shown = (RESULTS / "table.md").read_text()
    assert f"| dann, tuned by information_maximization (trade_off {trade_off:.3g}) |" in shown

    before = {file: file.stat().st_mtime_ns for file in RESULTS.rglob("*-*.json")}
    assert tlda("bench", path, *NARROW, "--tune", "2").code == 0
    assert {file: file.stat().st_mtime_ns for file in RESULTS.rglob("*-*.json")} == before, "the same search runs nothing twice"


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_trial_that_fails_is_not_the_best_and_the_search_goes_on(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"dann": {"model.trade_off": {"choices": [0.1, 1]}, "model.schedule": {"choices": ["Cosine", "LinearDecay"]}}}
    path = write(search=SEARCH | {"space": words})
    failed = iter([{"dann_trial_0-fh-7": "it diverged"}, {}])
    real = command._complete

    def complete(cells: Any, *rest: Any) -> dict[str, str]:
        return next(failed, {}) or real([cell for cell in cells if cell.task == "fh"], *rest)

    monkeypatch.setattr(command, "_complete", complete)
    monkeypatch.setattr(tune, "read_results", lambda folder, cells: read_results(folder, [c for c in cells if c.task == "fh"]))
    done = tlda("bench", path, "--tune", "2", "--methods", "dann", "--seeds", "0")
    assert done.code == 0, done.err
    tuned = json.loads((RESULTS / "tuned.json").read_text())["dann"]
    second = json.loads((RESULTS / "trials" / "dann_trial_1-fh-7.json").read_text())
    assert tuned["value"] == pytest.approx(second["history"][-1]["val/target/information_maximization"])
    assert f"schedule {tuned['values']['model.schedule']})" in (RESULTS / "table.md").read_text()

    failed = iter([{"a": "it diverged"}, {"b": "it diverged"}])
    refused(tlda("bench", path, "--tune", "2"), "no trial of dann has a value of information_maximization: it diverged")


def test_a_tuned_row_comes_after_what_its_method_comes_after(tmp_path: Path, tlda: Tlda) -> None:
    methods = {"source_only": None, "dann": None, "last": {"model": {"class_path": "DANN"}}}
    search = SEARCH | {"space": {"last": {"model.trade_off": {"low": 0.01, "high": 10}}}}
    table = load_table(write(search=search, methods={"last": methods["last"]}, after={"dann": "source_only", "last": "dann"}))
    (tmp_path / "tuned.json").write_text(json.dumps({"last": {"values": {"model.trade_off": 2.0}, "validator": "bnm"}}))
    tuned = with_tuned(table, tmp_path)
    assert tuned.after["last_tuned"] == "dann"
    trial = tune._trial(table, "last_trial_0", "last", {"model.trade_off": 3.0})
    cell = next(cell for cell in trial.cells() if cell.method == "last_trial_0")
    assert cell.first is not None
    assert (cell.first.method, cell.first.first and cell.first.first.method) == ("dann", "source_only")


def test_a_validator_that_the_runs_do_not_measure_is_named() -> None:
    results = {"a": {"history": [{"val/target/bnm": 0.1, "val/source/accuracy": 0.2}]}}
    with pytest.raises(UserError, match="do not measure 'mixval'; they do: bnm"):
        list(tune._last(results, "val/target/mixval"))
    assert list(tune._last(results, "val/source/accuracy")) == [0.2]


@pytest.mark.parametrize(
    ("search", "sentences"),
    [
        ({}, ["declares no 'search'"]),
        ({**SEARCH, "validator": "oracle"}, ["'oracle' is no label-free validator"]),
        ({**SEARCH, "draw": "grid"}, ["the search draws 'grid': say draw: random"]),
        ({**SEARCH, "validator": "entropi"}, ["did you mean 'entropy'"]),
        ({**SEARCH, "space": {"dan": {}}}, ["'dan', which is not one of its methods; did you mean 'dann'?"]),
        ({**SEARCH, "space": {"dann": {"model.trade_off": {"low": 1, "choices": [1]}}}}, ["'model.trade_off'", "either choices"]),
    ],
)
def test_what_is_wrong_with_a_search_is_said(tlda: Tlda, search: dict[str, Any], sentences: list[str]) -> None:
    refused(tlda("bench", write(search=search), "--tune", "1"), *sentences)


def test_optuna_is_named_where_it_is_missing(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "optuna", None)
    refused(tlda("bench", write(search=SEARCH), "--tune", "1"), "pip install 'tlda[tune]'")
    assert Path("tiny.yaml").exists()


def test_a_search_is_no_rendering(tlda: Tlda) -> None:
    refused(tlda("bench", write(search=SEARCH), "--tune", "1", "--render"), "leave one of them out")
    refused(tlda("bench", write(search=SEARCH), "--tune", "-1"), "'-1' is not a whole number above 0")
