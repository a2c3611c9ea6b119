"""DomainBed's three rules, from histories that no training made, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.results import result_of
from tlda.bench.domain_bed import RULES, Run, blocks, chosen
from tlda.bench.folds import fold_cells, folds
from tlda.bench.results import read_results
from tlda.bench.table import Cell, Table, load_table
from tlda.bench.tune import trials_of
from tlda.documents.grid import Grid
from tlda.errors import UserError

SOURCES = ["15", "30", "45"]
DECLARED: dict[str, Any] = {
    "base": {
        "model": {"init_args": {"backbone": {"class_path": "PixelMLP", "init_args": {"channels": 1}}}},
        "data": {"class_path": "RotatedMNIST", "init_args": {"validate_on": "holdout"}},
    },
    "methods": {"erm": {"model": {"class_path": "SourceOnly"}}, "irm": {"model": {"class_path": "IRM"}}},
    "tasks": {"zero": {"data": {"init_args": {"source": SOURCES, "target": "0"}}}},
    "seeds": [0],
    "leave_one_out": True,
}


def table_of(folder: Path, **changes: Any) -> Table:
    path = folder / "generalisation.yaml"
    path.write_text(yaml.safe_dump({**DECLARED, **changes}, sort_keys=False))
    return load_table(path)


def write(folder: Path, cell: Cell, source: list[float], oracle: list[float], measured: list[float]) -> None:
    """The result of ``cell`` with these accuracies after each epoch."""
    names = ("val/source/accuracy", "oracle/target/accuracy", "oracle/measured/accuracy")
    history = [dict(zip(names, values, strict=True)) for values in zip(source, oracle, measured, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{cell.name}.json").write_text(json.dumps(result_of(cell, measured[-1], history=history)))


def test_a_fold_trains_on_the_other_sources_and_measures_the_one_left_out(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    found = folds(table)
    parts = [found.config("irm", task)["data"]["init_args"] for task in found.tasks]
    assert list(found.tasks) == ["zero+15", "zero+30", "zero+45"]
    assert [(part["source"], part["target"]) for part in parts] == [(["30", "45"], "15"), (["15", "45"], "30"), (["15", "30"], "45")]
    assert [c.name for c in fold_cells(table, table.narrowed("irm", None, None))] == [f"irm-zero+{angle}-0" for angle in SOURCES]
    assert not folds(table_of(tmp_path, leave_one_out=False)).tasks
    keys = {cell.key for cell in (*table.cells(), *found.cells())}
    assert len(keys) == 8


def test_the_list_of_sources_may_be_that_of_data_within_data(tmp_path: Path) -> None:
    task = {
        "data": {
            "class_path": "Features",
            "init_args": {"data": {"class_path": "PACS", "init_args": {"source": ["photo", "art_painting"]}}},
        }
    }
    found = folds(table_of(tmp_path, tasks={"t": task}))
    inner = found.config("erm", "t+photo")["data"]["init_args"]["data"]["init_args"]
    assert (inner["source"], inner["target"]) == (["art_painting"], "photo")


def test_one_source_cannot_be_left_out(tmp_path: Path) -> None:
    one = {"data": {"init_args": {"source": ["15"], "target": "0"}}}
    with pytest.raises(UserError, match="the task 't' has no list of them"):
        folds(table_of(tmp_path, tasks={"t": one}))


def test_each_rule_takes_its_own_epoch_and_measures_other_rows_than_the_oracle_sees(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    for cell in table.cells():
        write(table.results, cell, [0.7, 0.9, 0.8], [0.1, 0.2, 0.3], [0.5, 0.6, 0.4])
    for number, cell in enumerate(folds(table).cells()):
        if cell.method == "irm":  # the mean over the folds is 0.6, 0.5, 0.4: the first epoch
            write(table.results, cell, [0.1, 0.2, 0.3], [0.9, 0.9, 0.9], [0.6 + (number - 4) * 0.1, 0.5, 0.4])
    text, grid = blocks(table, read_results(table.results, table.cells()))
    assert isinstance(grid, Grid)
    assert grid.header[1:] == list(RULES)
    assert grid.rows == [["erm", "60.0", "–", "40.0"], ["irm", "60.0", "50.0", "40.0"]]
    assert "The options are fixed" in str(text)
    assert not blocks(table_of(tmp_path, leave_one_out=False), read_results(table.results, table.cells()))


def test_the_first_of_equals_is_taken_and_nothing_where_there_is_no_choice() -> None:
    run = Run([1.0, 2.0], [0.5, 0.5], [0.1, 0.0], None)
    assert [chosen([run], rule) for rule in RULES.values()] == [1.0, None, 2.0]
    better = Run([3.0, 4.0], [0.4, 0.4], [0.0, 0.2], [0.1, 0.2])
    assert [chosen([run, better], rule) for rule in RULES.values()] == [1.0, 4.0, 4.0]


def test_the_rules_choose_among_the_draws_of_a_random_search_too(tmp_path: Path) -> None:
    space = {"irm": {"model.trade_off": {"low": 0.1, "high": 100, "log": True}}}
    table = table_of(tmp_path, search={"validator": "source_accuracy", "draw": "random", "seeds": [0], "space": space})
    for cell in table.cells():
        write(table.results, cell, [0.7], [0.1], [0.5])
    tried = [{"values": {"model.trade_off": value}, "value": 0.0} for value in (1.0, 10.0)]
    best = {"values": tried[1]["values"], "validator": "source_accuracy", "value": 0.0, "trials": tried}
    (table.results / "tuned.json").write_text(json.dumps({"irm": best}))
    for number, (trial, name) in enumerate(trials_of(table, "irm")):
        cell = next(cell for cell in trial.cells() if cell.method == name)
        assert cell.config["model"]["init_args"]["trade_off"] == (1.0, 10.0)[number]
        write(table.results / "trials", cell, [(0.9, 0.1)[number]], [(0.2, 0.3)[number]], [(0.6, 0.7)[number]])
    text, grid = blocks(table, read_results(table.results, table.cells()))
    assert isinstance(grid, Grid)
    assert grid.rows == [["erm", "50.0", "–", "50.0"], ["irm", "60.0", "–", "70.0"]]
    assert "among 3 draws" in str(text)
