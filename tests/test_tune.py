"""The search for a table's options: chosen without a target label, resumed from files, shown beside the default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Tlda
from tests.test_bad_input import refused
from tests.test_bench import RESULTS, here, write  # noqa: F401

pytest.importorskip("optuna")

SEARCH: dict[str, Any] = {
    "validator": "information_maximization",
    "seeds": [7],
    "space": {"dann": {"model.trade_off": {"low": 0.01, "high": 10, "log": True}}},
}
NARROW = ["--tasks", "fh", "--seeds", "0"]


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


@pytest.mark.parametrize(
    ("search", "sentences"),
    [
        ({}, ["declares no 'search'"]),
        ({**SEARCH, "validator": "oracle"}, ["'oracle' is no label-free validator"]),
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
