"""A search that ends at an edge says so, and looks beyond."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tlda.bench import tune
from tlda.bench.edges import beyond, edge, grids
from tlda.bench.results import read_results
from tlda.bench.summary import summarize
from tlda.bench.table import load_table
from tlda.bench.tune import FURTHER, _best, _fault, _shown, _widen
from tlda.errors import UserError


@pytest.mark.parametrize(
    ("value", "tried", "where"),
    [
        (0.1, [1, 0.1, 10], "the least tried"),
        (10, [1, 0.1, 10], "the most tried"),
        (1, [1, 0.1, 10], ""),
        (1, [1, 0.1], ""),
        ("a", "abc", ""),
    ],
)
def test_an_edge_is_the_least_or_the_most_of_three(value: Any, tried: Any, where: str) -> None:
    assert edge(value, tried) == where


def test_the_next_number_lies_beyond_the_edge() -> None:
    assert beyond(0.1, [1.0, 0.1, 10.0], log=True) == pytest.approx(0.01)
    assert beyond(10.0, [9.0, 0.1, 10.0], log=True) == pytest.approx(20.0)
    assert beyond(3.0, [1.0, 2.0, 3.0], log=False) == pytest.approx(5.0)


def searched(optimum: float, least: float = 0.0) -> list[dict[str, Any]]:
    """The trials of a search of 0.1, 1 and 10 that is best at ``optimum``; numbers below ``least`` are refused."""
    tried: list[dict[str, Any]] = []

    def run(values: dict[str, Any]) -> None:
        if values["w"] < least:
            raise UserError("out of range")
        tried.append({"values": values, "value": -abs(math.log(values["w"] / optimum))})

    for value in (0.1, 1.0, 10.0):
        run({"w": value})
    _widen({"w": {"low": 0.1, "high": 10, "log": True}}, tried, True, run)
    return tried


def test_a_search_goes_on_beyond_an_edge_until_the_best_is_inside() -> None:
    assert [one["values"]["w"] for one in searched(1.0)] == [0.1, 1.0, 10.0]
    tried = searched(0.008)
    assert [one["values"]["w"] for one in tried[3:]] == pytest.approx([0.01, 0.001])
    assert _best(tried, True)["values"]["w"] == pytest.approx(0.01)
    assert len(searched(1e-30)) == 3 + FURTHER
    assert len(searched(0.008, least=0.05)) == 3  # what the option does not take ends it


def test_what_lies_beyond_the_space_counts_where_it_was_tried() -> None:
    tried = searched(0.008)
    entry = {"values": {"w": tried[3]["values"]["w"]}, "validator": "bnm", "trials": tried}
    space = {"w": {"low": 0.1, "high": 10, "log": True}}
    assert _fault(space, entry) == ""
    assert "outside of its space" in _fault(space, {**entry, "trials": []})


@pytest.mark.slow
def test_the_grids_of_the_digits_table_end_where_its_protocol_says() -> None:
    path = Path(__file__).parents[2] / "benchmarks/tables/digits_trade_offs.yaml"
    table = load_table(path).narrowed("ddc_0.25,ddc_0.025,ddc_0.0025,deep_coral_1,deep_coral_100,deep_coral_10000,mcd", "mnist_usps", None)
    rows = summarize(table, read_results(table.results, table.cells()))
    assert grids(table, rows) == ["ddc_0.0025 (trade_off 0.0025, the least tried)"]


def test_the_label_of_a_tuned_row_names_an_edge() -> None:
    trials = [{"values": {"model.w": value}, "value": value} for value in (1.0, 2.0, 3.0)]
    assert _shown({"values": {"model.w": 3.0}, "trials": trials}, "model.w") == "w 3, the most tried"
    assert _shown({"values": {"model.w": 2.0}, "trials": trials}, "model.w") == "w 2"
    assert _shown({"values": {"model.w": 2.0}}, "model.w") == "w 2"
    assert tune._tried([*trials, {"values": {"model.w": 4.0}, "value": None}], "model.w") == [1.0, 2.0, 3.0]
