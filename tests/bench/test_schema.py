"""A result file that is not what a run writes is damaged, in one sentence, and hides no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.test_table import golden, table_rows  # noqa: F401
from tests.conftest import Tlda
from tests.helpers.results import result_of
from tlda.bench.results import left_out, read_result
from tlda.bench.schema import fault
from tlda.bench.table import Cell
from tlda.bench.tune import _fault

CELL = Cell("m", "t", 3, {}, {}, "key")
METRICS = "its 'metrics' is not numbers by name, with accuracies and F1 in 0..1"
HISTORY = "its 'history' is not metrics by epoch, the same of each"
CONFUSION = "its 'confusion' is not counts by true and predicted class"


def metrics(**values: Any) -> dict[str, Any]:
    return {"metrics": {f"test/target/{name}": value for name, value in values.items()}}


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "below 0": (metrics(accuracy=-0.5), METRICS),
    "in percent": (metrics(accuracy=85), METRICS),
    "not a number": (metrics(accuracy=float("nan")), METRICS),
    "a text": (metrics(accuracy="0.5"), METRICS),
    "true": (metrics(accuracy=True), METRICS),
    "none": (metrics(accuracy=None), METRICS),
    "another metric out of range": (metrics(accuracy=0.5, macro_f1=1.5), METRICS),
    "no metrics": ({"metrics": {}}, METRICS),
    "metrics are a list": ({"metrics": [0.5]}, METRICS),
    "another method": ({"method": "n"}, "it is of the method 'n'"),
    "another task": ({"task": "u"}, "it is of the task 'u'"),
    "another seed": ({"seed": 4}, "it is of the seed '4'"),
    "a seed that is a number of another kind": ({"seed": 3.0}, "its 'seed' is not a whole number"),
    "a seed that is true": ({"seed": True}, "its 'seed' is not a whole number"),
    "a key that is none": ({"key": None}, "its 'key' is not a text"),
    "sees is a text": ({"sees": "oracle"}, "its 'sees' is not a list of texts"),
    "sees nothing": ({"sees": []}, "its 'sees' is not a list of texts"),
    "data is a mapping": ({"data": {}}, "its 'data' is not a text"),
    "config is a list": ({"config": []}, "its 'config' is not a model, data and trainer"),
    "config without data": ({"config": {"model": {}, "trainer": {}}}, "its 'config' is not a model, data and trainer"),
    "versions is a text": ({"versions": "2.14"}, "its 'versions' is not versions by package, torch among them"),
    "versions of numbers": ({"versions": {"torch": 2.14}}, "its 'versions' is not versions by package, torch among them"),
    "history is a mapping": ({"history": {}}, HISTORY),
    "an epoch is none": ({"history": [None]}, HISTORY),
    "epochs differ": ({"history": [{"val/target/a": 1.0}, {}]}, HISTORY),
    "a measure is a text": ({"history": [{"val/target/a": "1"}]}, HISTORY),
    "the oracle's accuracy is none": ({"history": [{"oracle/target/accuracy": None}]}, HISTORY),
    "the oracle's accuracy is 85": ({"history": [{"oracle/target/accuracy": 85.0}]}, HISTORY),
    "confusion is ragged": ({"confusion": [[1, 2], [3]]}, CONFUSION),
    "confusion is below 0": ({"confusion": [[1, -2], [3, 4]]}, CONFUSION),
    "confusion of texts": ({"confusion": [["1", "2"], ["3", "4"]]}, CONFUSION),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_wrong_is_said(case: str) -> None:
    changes, why = FAULTS[case]
    assert fault(result_of(CELL, **changes), CELL) == why


@pytest.mark.parametrize("name", ["key", "method", "task", "seed", "sees", "metrics", "data", "config", "versions"])
def test_what_is_missing_is_said(name: str) -> None:
    found = result_of(CELL)
    del found[name]
    assert fault(found, CELL) == f"it has no '{name}'"


def test_a_whole_result_has_no_fault() -> None:
    label_free = {"val/target/snd": None, "oracle/target/accuracy": 1}
    for found in (
        result_of(CELL),
        result_of(CELL, history=None, confusion=None),
        result_of(CELL, history=[label_free] * 2, confusion=[[1, 2.0], [3, 4]]),
        result_of(CELL, **metrics(accuracy=1, information_maximization=float("nan"))),
    ):
        assert fault(found, CELL) == ""
    assert fault([], CELL) == "it is no mapping"


def into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CONTENT: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "it is no JSON"),
    "cut off": (lambda path: path.write_text(path.read_text()[:40]), "it is no JSON"),
    "not UTF-8": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "it is no JSON"),
    "nested without end": (lambda path: path.write_text("[" * 100_000), "it is no JSON"),
    "a folder": (into_a_folder, "it cannot be read: Is a directory"),
    "a number": (lambda path: path.write_text("3"), "it is no mapping"),
    "another cell's": (lambda path: path.write_text(json.dumps(result_of(CELL))), "it is of the method 'm'"),
}


@pytest.mark.parametrize("case", CONTENT)
def test_one_bad_file_is_named_and_the_others_are_shown(case: str, tlda: Tlda, golden: Path) -> None:  # noqa: F811
    damage, why = CONTENT[case]
    damage(golden / "a-fonts_handwritten-1.json")
    done = tlda("bench", "golden.yaml", "--render")
    assert done.code == 0, done.err
    assert f"1 left out, damaged ({why}): a-fonts_handwritten-1.json" in done.out
    assert [row[1].count("(2/3)") for row in table_rows(golden)[1:]] == [0, 0, 1, 0] or table_rows(golden)[2][1].endswith("(2/3)")
    report = tlda("report", "golden.yaml")
    assert report.code == 0, report.err
    assert "1 left out, damaged" in report.out


def test_a_damaged_file_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / f"{CELL.name}.json"
    path.write_text(json.dumps(result_of(CELL, accuracy=0.7)))
    found = read_result(tmp_path, CELL)
    assert found is not None
    assert found["metrics"] == {"test/target/accuracy": 0.7}
    path.write_text(json.dumps(result_of(CELL, accuracy=70.0)))
    assert read_result(tmp_path, CELL) is None
    assert left_out(tmp_path, [CELL]) == [f"{tmp_path}: 1 left out, damaged ({METRICS}): {path.name}"]


SPACE = {"model.trade_off": {"low": 0.1, "high": 1.0}, "model.kind": {"choices": ["a", "b"]}}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ([], "it is damaged"),
        ({"values": [], "validator": "bnm"}, "it is damaged"),
        ({"values": {"model.trade_off": 0.5, "model.kind": "a"}}, "it is damaged"),
        ({"values": {"model.trade_off": 0.5}, "validator": "bnm"}, "it was of other options"),
        ({"values": {"model.trade_off": "x", "model.kind": "a"}, "validator": "bnm"}, "model.trade_off 'x' is outside of its space"),
        (
            {"values": {"model.trade_off": 2.0, "model.kind": "c"}, "validator": "bnm"},
            "model.trade_off 2.0, model.kind 'c' is outside of its space",
        ),
        ({"values": {"model.trade_off": 0.1, "model.kind": "b"}, "validator": "bnm"}, ""),
    ],
)
def test_what_a_search_found_is_checked(entry: Any, why: str) -> None:
    assert _fault(SPACE, entry) == why
