"""A method of one's own, in a file outside the package, is a row of a table; the files are those that CONTRIBUTING.md shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bench.test_bench import Here
from tests.conftest import REPO, Tlda
from tlda.bench import launch

pytestmark = pytest.mark.slow

EXAMPLES = REPO / "examples" / "project"
SHORT = {"trainer": {"max_epochs": 1, "precision": 32}, "data": {"init_args": {"steps": 3, "batch_size": 16}}}


@pytest.fixture
def table(tlda: Tlda) -> dict[str, Any]:
    """The example's files in the user's folder, and its table, made short."""
    shutil.copy(EXAMPLES / "my_method.py", ".")
    declared: dict[str, Any] = yaml.safe_load((EXAMPLES / "my_table.yaml").read_text())
    return declared | {"base": [declared["base"], SHORT], "seeds": [0]}


def check(folder: Path, tasks: int) -> None:
    """That the method's row has a number for each task, and stands beside the baseline's."""
    text = (folder / "table.md").read_text().partition("What a user would really get")[0]
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in text.splitlines() if line[:1] == "|"}
    *numbers, interval, p = (entry.strip(" *▼") for entry in rows["moment matching"])
    assert len([float(number) for number in numbers]) == tasks + 2  # and their average, and the gain
    assert (interval, p) == ("–", "–"), "too few seeds for a test"
    assert "source only" in rows
    (result, *_) = (json.loads(path.read_text()) for path in folder.glob("moments-*.json"))
    assert result["config"]["model"]["class_path"] == "my_method.MomentMatching"
    assert result["sees"] == ["source", "target"]


def test_the_example_is_at_most_forty_lines() -> None:
    assert len((EXAMPLES / "my_method.py").read_text().splitlines()) <= 40


def test_a_row_of_the_embedded_digits(tlda: Tlda, table: dict[str, Any]) -> None:
    Path("my_table.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
    done = tlda("bench", "my_table.yaml", "--workers", "1")  # in a process of its own, which must find the user's file
    assert done.code == 0, done.err
    check(Path("results/my_table"), 1)


def test_a_row_of_two_tasks(tlda: Tlda, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(launch.LAUNCHERS, "local", Here)
    tasks = {task: f"task/{task}" for task in ("fonts_handwritten", "handwritten_fonts")}
    Path("my_table.yaml").write_text(yaml.safe_dump(table | {"tasks": tasks}, sort_keys=False))
    assert tlda("bench", "my_table.yaml").code == 0
    check(Path("results/my_table"), 2)
