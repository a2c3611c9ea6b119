from __future__ import annotations

from pathlib import Path

import pytest

from tlda.report.script_page import task_columns, write_measured


def test_numbers_are_measured_once_and_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["measure.py"])
    write_measured(tmp_path, lambda: {"accuracy": 0.5}, lambda results: f"{results['accuracy']}")
    monkeypatch.setattr("sys.argv", ["measure.py", "--render"])
    write_measured(tmp_path, lambda: {"accuracy": 0.9}, lambda results: f"still {results['accuracy']}")
    assert (tmp_path / "README.md").read_text() == "still 0.5"


def test_a_column_is_called_by_the_initials_of_its_domains() -> None:
    assert task_columns(["amazon_webcam", "dslr_caltech10"]) == {"tasks": "A → W | D → C", "rule": "---|---|"}
