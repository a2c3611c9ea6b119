"""A table shows the metric that it names, of all tasks or of each, from the same result files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import EXPERIMENTS
from tests.helpers.results import result_of
from tlda.bench.cell import try_cell
from tlda.bench.of_table import of_table
from tlda.bench.render import document
from tlda.bench.results import claim, read_result, read_results, shown, twin, write_result
from tlda.bench.selection import BEST, LAST, selected
from tlda.bench.table import Table, load_table
from tlda.documents.grid import markdown
from tlda.errors import UserError

METRICS = {"test/target/accuracy": 0.9, "test/target/entities/f1": 0.5, "test/target/f1": 0.25}
HISTORY = [{"oracle/target/accuracy": 0.9, "oracle/target/f1": 0.1}, {"oracle/target/accuracy": 0.2, "oracle/target/f1": 0.3}]
TASK = str(EXPERIMENTS / "task" / "fonts_handwritten.yaml")


def declared(folder: Path, **more: Any) -> Table:
    path = folder / "table.yaml"
    table = {
        "base": str(EXPERIMENTS / "base" / "embedded.yaml"),
        "methods": {"base": {"model": {"class_path": "SourceOnly"}}},
        "tasks": {"a": TASK, "b": TASK},
        "seeds": [0],
        **more,
    }
    path.write_text(yaml.safe_dump(table))
    return load_table(path)


def write(table: Table) -> None:
    table.results.mkdir(parents=True)
    for cell in table.cells():
        write_result(table.results, cell, result_of(cell, metrics=METRICS, history=HISTORY))


def test_what_harms_the_control_by_more_than_the_baselines_deviation_is_marked(tmp_path: Path) -> None:
    methods = {name: {"model": {"class_path": "SourceOnly"}} for name in ("base", "less", "far")}
    table = declared(tmp_path, methods=methods, seeds=[0, 1], control="b")
    table.results.mkdir(parents=True)
    lower = {"base": 0.0, "less": 0.01, "far": 0.02}  # the baseline's deviation is 0.014
    for cell in table.cells():
        found = 0.5 + 0.02 * cell.seed - lower[cell.method] * (cell.task == "b")
        write_result(table.results, cell, result_of(cell, metrics={"test/target/accuracy": found}))
    text = markdown(document(table, read_results(table.results, table.cells())))
    assert [line.count("▼") for line in text.splitlines() if line.startswith(("| base", "| less", "| far"))] == [0, 2, 1]
    assert "| far | 51.0 ± 1.4 | 49.0 ± 1.4 ▼ | 50.0 ± 1.4 | -1.0 ± 0.0 ▼" in text
    assert "▼ at b, the control: worse than base by more than its standard deviation" in text
    chosen = declared(tmp_path, methods=methods, seeds=[0, 1], control="b", select_by="test/target/accuracy")
    assert "▼" not in markdown(document(chosen, read_results(table.results, chosen.cells()))), "settings are chosen among, not compared"
    one = declared(tmp_path, methods=methods, seeds=[0], control="b")
    assert "▼ at b" not in markdown(document(one, read_results(table.results, one.cells()))), "of one seed there is no deviation"
    with pytest.raises(UserError, match="the control 'c' is not one of its tasks"):
        declared(tmp_path, control="c")


@pytest.mark.parametrize(
    ("metric", "values", "words"),
    [
        ({}, (90.0, 90.0), "Accuracy on the target"),
        ({"metric": "test/target/f1"}, (25.0, 25.0), "F1 on the target"),
        ({"metric": {"a": "test/target/accuracy", "b": "test/target/entities/f1"}}, (90.0, 50.0), "Accuracy (a), F1 (b) on the target"),
        ({"metric": {"a": "test/target/entities/f1", "b": "test/target/f1"}}, (50.0, 25.0), "F1 on the target"),
    ],
)
def test_what_is_shown(tmp_path: Path, metric: dict[str, Any], values: tuple[float, float], words: str) -> None:
    table = declared(tmp_path, **metric)
    write(table)
    results = read_results(table.results, table.cells())
    assert tuple(100 * shown(results["base", task, 0]) for task in "ab") == pytest.approx(values)
    text = markdown(document(table, results))
    assert words in text
    assert f"| {values[0]:.1f} | {values[1]:.1f} |" in text


def test_further_metrics_of_the_same_runs_are_averaged(tmp_path: Path) -> None:
    table = declared(tmp_path, also=["test/target/f1", "test/source/ece", "seconds"])
    table.results.mkdir(parents=True)
    for value, cell in zip((0.2, 0.4), table.cells(), strict=True):
        write_result(
            table.results, cell, result_of(cell, metrics={**METRICS, "test/target/f1": value, "test/source/ece": 0.125}, seconds=90.0)
        )
    text = markdown(document(table, read_results(table.results, table.cells())))
    assert "| method | F1 | ECE on the source (lower is better) | seconds of a run |" in text
    assert "| base | 30.0 | 12.5 | 90.0 |" in text
    with pytest.raises(UserError, match="'also' must be a list of metrics"):
        declared(tmp_path, also="test/target/f1")


def test_a_metric_of_several_tasks_is_named_once(tmp_path: Path) -> None:
    metric = {"a": "test/target/f1", "b": "test/target/accuracy", "c": "test/target/f1"}
    assert declared(tmp_path, tasks=dict.fromkeys("abc", TASK), metric=metric).metric_name == "F1 (a, c), accuracy (b)"


def test_the_oracle_looks_at_what_is_shown(tmp_path: Path) -> None:
    result = {"metrics": METRICS, "history": HISTORY}
    assert (selected(result, LAST), selected(result, BEST)) == pytest.approx((90.0, 90.0))
    f1 = result | {"metric": "test/target/f1"}
    assert (selected(f1, LAST), selected(f1, BEST)) == pytest.approx((25.0, 30.0))


@pytest.mark.slow
def test_a_run_that_two_tasks_share_is_done_once(tmp_path: Path) -> None:
    table = declared(tmp_path, metric={"a": "test/target/accuracy", "b": "test/target/f1"})
    first, second = table.cells()
    write(table)
    (table.results / f"{second.name}.json").unlink()
    with claim(table.results, first, 0):
        assert try_cell(table.results, second) is None, "the first is running, and its result will be this one's"
    found = twin(table.results, second)
    assert found is not None
    assert (found["task"], shown(found)) == ("b", 0.25)
    other = declared(tmp_path, base=[str(EXPERIMENTS / "base" / "embedded.yaml"), {"trainer": {"max_epochs": 3}}]).cells()[1]
    assert twin(table.results, other) is None
    assert json.loads((table.results / f"{first.name}.json").read_text())["task"] == "a"
    assert read_result(table.results, first) is not None


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        ("accuracy", r"the metric 'accuracy' is not of a test: name one such as test/target/accuracy"),
        ({"a": "test/target/f1"}, r"the metric of the task 'b' is not named"),
    ],
)
def test_bad_metrics_are_named(tmp_path: Path, metric: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        declared(tmp_path, metric=metric)


def test_two_folders_are_two_runs_though_a_key_does_not_say_where_data_lie(tmp_path: Path) -> None:
    table = declared(tmp_path, tasks={"a": TASK, "b": [TASK, {"data": {"init_args": {"root": "elsewhere"}}}]})
    first, second = table.cells()
    assert first.key == second.key
    write(table)
    with claim(table.results, first, 0), claim(table.results, second, 0):
        assert read_result(table.results, second) is not None
    (table.results / f"{second.name}.json").unlink()
    assert twin(table.results, second) is None


def test_a_return_is_shown_as_it_is(tmp_path: Path) -> None:
    table = declared(tmp_path, metric="test/target/return", also=["test/target/return_at_8192"])
    table.results.mkdir(parents=True)
    for cell in table.cells():
        returns = {"test/target/return": -82.5, "test/target/return_at_8192": -500.0}
        write_result(table.results, cell, result_of(cell, metrics={**METRICS, **returns}))
    text = markdown(document(table, read_results(table.results, table.cells())))
    assert "Greedy return on the target, mean" in text
    assert "| -82.5 | -82.5 |" in text
    assert "| method | return at 8192 |\n|---|---|\n| base | -500.0 |" in text
    with pytest.raises(UserError, match="shows greedy return, and reports are for classification alone"):
        of_table(table)


def test_a_table_says_how_long_its_runs_took(tmp_path: Path) -> None:
    """A run that measures both tasks is counted once."""
    table = declared(tmp_path)
    table.results.mkdir(parents=True)
    for cell in table.cells():
        write_result(table.results, cell, result_of(cell, seconds=5400.0))
    assert ", in 1.5 hours." in markdown(document(table, read_results(table.results, table.cells())))
