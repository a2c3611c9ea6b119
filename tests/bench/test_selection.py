"""What each rule of selection gives, against an independent computation with pandas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.bench.test_table import TABLE, TASKS, golden, table_rows  # noqa: F401
from tests.conftest import Tlda
from tlda.bench.selection import BEST, LAST, TRANSLATION, Rule, blocks, chosen, rules
from tlda.bench.table import load_table
from tlda.documents.grid import Grid

EPOCHS = 5


@pytest.fixture
def histories(golden: Path) -> pd.DataFrame:  # noqa: F811
    """The golden table's results with a history of random measures each, as the frame of them all."""
    generator, frames = np.random.default_rng(1), []
    for cell in load_table("golden.yaml").cells():
        path = golden / f"{cell.name}.json"
        result = json.loads(path.read_text())
        names = {rule.metric for rule in [*rules(), *(TRANSLATION if cell.method == "a" else [])] if rule is not LAST}
        history = [{name: float(generator.uniform()) for name in sorted(names)} for _ in range(EPOCHS)]
        history[-1][BEST.metric] = result["metrics"]["test/target/accuracy"]
        path.write_text(json.dumps(result | {"history": history}))
        frames.append(pd.DataFrame(history).assign(method=cell.method, task=cell.task, seed=cell.seed, epoch=range(EPOCHS)))
    return pd.concat(frames, ignore_index=True)


def given(histories: pd.DataFrame, rule: Rule) -> pd.Series[Any]:
    """By method, task and seed, the accuracy that ``rule`` gives."""
    runs = histories.groupby(["method", "task", "seed"])
    column = "epoch" if rule is LAST else rule.metric
    rows = runs[column].idxmax() if rule.higher_is_better else runs[column].idxmin()
    return 100 * histories.loc[rows].set_index(["method", "task", "seed"])[BEST.metric]


def test_each_rule_gives_what_pandas_says(tlda: Tlda, golden: Path, histories: pd.DataFrame) -> None:  # noqa: F811
    assert tlda("bench", "golden.yaml", "--render").code == 0
    lines = table_rows(golden)
    head, *found = lines[[line[:2] for line in lines].index(["method", "last epoch"]) :][:5]
    assert head[1:] == [rule.label for rule in rules()]
    assert [row[0] for row in found] == ["source only", "a", "b", "regret: oracle less this"], "an oracle selects nothing"
    for j, rule in enumerate(rules(), 1):
        by_seed = given(histories, rule).groupby(["method", "seed"]).mean().unstack("seed")
        for row, method in zip(found, ("base", "a", "b"), strict=False):
            assert row[j] == f"{by_seed.loc[method].mean():.1f} ± {by_seed.loc[method].std():.1f}"
        honest = (given(histories, BEST) - given(histories, rule)).drop("top", level="method")
        assert found[-1][j].strip("*") == f"{honest.mean():.2f} ± {honest.sem():.2f}"
    blind = [rule for rule in rules() if not rule.metric.startswith("oracle/")]
    assert {rule.label for rule in rules()} - {rule.label for rule in blind} == {"few-shot target risk", "oracle, by risk", "oracle"}
    regrets = {rule.label: (given(histories, BEST) - given(histories, rule)).drop("top", level="method").mean() for rule in blind}
    assert f"the best rule that sees no target label is {min(regrets, key=regrets.__getitem__)}:" in (golden / "table.md").read_text()


def test_what_translates_is_stopped_by_its_own_measures_too(tlda: Tlda, golden: Path, histories: pd.DataFrame) -> None:  # noqa: F811
    assert tlda("bench", "golden.yaml", "--render").code == 0
    head, row, regret, *of_tasks = table_rows(golden)[-5:]
    candidates = [LAST, *TRANSLATION, BEST]
    assert (head[1:], row[0]) == ([rule.label for rule in candidates], "a")
    runs = histories[histories["method"] == "a"]
    for j, rule in enumerate(candidates, 1):
        by_seed = given(runs, rule).groupby("seed").mean()
        assert row[j] == f"{by_seed.mean():.1f} ± {by_seed.std():.1f}"
        gap = given(runs, BEST) - given(runs, rule)
        assert regret[j].strip("*") == f"{gap.mean():.2f} ± {gap.sem():.2f}"
        for own, task in zip(of_tasks, TASKS, strict=True):
            assert own[0] == f"on {load_table('golden.yaml').label(task)}"
            assert own[j] == f"{gap.xs(task, level='task').mean():.2f} ± {gap.xs(task, level='task').sem():.2f}"


def test_where_runs_were_not_validated_there_is_nothing_to_select_by(tlda: Tlda, golden: Path) -> None:  # noqa: F811
    assert tlda("bench", "golden.yaml", "--render").code == 0
    assert "last epoch" not in "".join(row[1] for row in table_rows(golden))


@pytest.mark.usefixtures("histories")
@pytest.mark.parametrize("adapting", ["MLLS", "TipAdapterF"])
def test_what_adapts_at_test_is_left_out(golden: Path, adapting: str) -> None:  # noqa: F811
    table = load_table("golden.yaml")
    results: dict[Any, Any] = {(c.method, c.task, c.seed): json.loads((golden / f"{c.name}.json").read_text()) for c in table.cells()}
    for (method, _, _), result in results.items():
        if method == "b":
            result["config"] = {"model": {"class_path": f"tlda.methods.{adapting}"}}
    text, grid, *_ = blocks(table, results)
    assert isinstance(grid, Grid)
    assert "What adapts at test is left out" in str(text)
    assert [row[0] for row in grid.rows] == ["source only", "a", "regret: oracle less this"]


@pytest.mark.usefixtures("histories")
def test_of_one_epoch_there_is_nothing_to_select(golden: Path) -> None:  # noqa: F811
    table = load_table("golden.yaml")
    results: dict[Any, Any] = {(c.method, c.task, c.seed): json.loads((golden / f"{c.name}.json").read_text()) for c in table.cells()}
    for result in results.values():
        del result["history"][1:]
    assert not blocks(table, results)


def test_the_epoch_chosen_is_the_earliest_of_the_best_and_never_one_without_a_number() -> None:
    up, down = Rule("up", "m"), Rule("down", "m", higher_is_better=False)
    history: list[dict[str, float | None]] = [{"m": 0.5}, {"m": None}, {"m": 0.7}, {"m": 0.7}, {"m": 0.2}]
    assert (chosen(history, up), chosen(history, down)) == (2, 4)
    assert chosen([{"m": None}, {}, {"m": None}], up) == 2
