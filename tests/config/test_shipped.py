"""Overlays and tables come with tlda, and are named without a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import QUICK, REPO, Tlda
from tlda.bench.table import find_table, load_table
from tlda.config.shipped import named, shipped, with_files
from tlda.errors import UserError


def test_the_checkout_has_them() -> None:
    assert shipped("overlays")["base/digits"] == REPO / "experiments/base/digits.yaml"
    assert shipped("tables")["quickstart"] == REPO / "benchmarks/tables/quickstart.yaml"
    assert shipped("rankings")["office_caltech10"] == REPO / "benchmarks/rank/office_caltech10.yaml"


def test_a_file_of_ones_own_wins_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert named("method/dann", "overlays") == REPO / "experiments/method/dann.yaml"
    assert capsys.readouterr().out == ""
    Path("method").mkdir()
    Path("method/dann.yaml").write_text("{}")
    assert named("method/dann", "overlays") == Path("method/dann.yaml")
    assert "method/dann.yaml is your own file" in capsys.readouterr().out
    assert named("none.yaml", "overlays") == Path("none.yaml"), "whoever reads it says that there is none"
    with pytest.raises(UserError, match=r"no file method/dnan, and tlda has no overlays of that name.* did you mean 'method/da"):
        named("method/dnan", "overlays")


def test_options_of_a_command_name_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    dann = str(REPO / "experiments/method/dann.yaml")
    given = ["fit", "-c", "method/dann", "--config=method/dann", "--config", "method/dann", "--data.root", "method/dann"]
    assert with_files(given) == ["fit", "-c", dann, f"--config={dann}", "--config", dann, "--data.root", "method/dann"]


def test_results_go_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = REPO / "benchmarks/tables/quickstart.yaml"
    assert find_table(Path("quickstart"), None) == (table, Path("results/quickstart"))
    assert find_table(Path("quickstart"), Path("there")) == (table, Path("there"))
    assert find_table(table, None) == (table, None)
    monkeypatch.chdir(REPO)
    assert find_table(Path("quickstart"), None) == (table, None), "as where its path is named"


def test_a_table_of_ones_own_names_overlays(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(
        "base: base/embedded\nmethods: {source_only: method/source_only}\ntasks: {there: task/fonts_handwritten}\nseeds: [0]\n"
    )
    assert load_table(tmp_path / "t.yaml").config("source_only", "there")["data"]["init_args"]["target"] == "handwritten"


@pytest.mark.slow
def test_a_run_of_named_overlays(tlda: Tlda) -> None:
    done = tlda("fit", "-c", "base/embedded", "-c", "method/dann", "-c", "task/fonts_handwritten", *QUICK)
    assert done.code == 0, done.err
    assert "base/digits" in tlda("list", "overlays").out
    assert "quickstart" in tlda("list", "tables").out
