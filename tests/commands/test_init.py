"""``tlda init`` writes a project that runs as it is."""

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
from tlda.commands.init import write_project
from tlda.config import index

SHORT = {"trainer": {"max_epochs": 1, "precision": 32}, "data": {"init_args": {"steps": 2, "batch_size": 8}}}


@pytest.mark.slow
def test_the_project_runs(tlda: Tlda, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = tlda("init", "demo")
    assert done.code == 0, done.err
    assert "cd demo && tlda bench my_table.yaml" in done.out
    demo = tmp_path / "demo"
    files = sorted(path.relative_to(demo).as_posix() for path in demo.rglob("*") if path.is_file())
    assert files == [".gitignore", "data/README.md", "my_method.py", "my_table.yaml"]
    monkeypatch.chdir(demo)
    declared: dict[str, Any] = yaml.safe_load(Path("my_table.yaml").read_text())
    Path("my_table.yaml").write_text(yaml.safe_dump(declared | {"base": [declared["base"], SHORT], "seeds": [0]}))
    monkeypatch.setitem(launch.LAUNCHERS, "local", Here)
    assert tlda("bench", "my_table.yaml").code == 0
    results = [json.loads(path.read_text()) for path in Path("results/my_table").glob("*-*.json")]
    assert sorted(result["config"]["model"]["class_path"].rpartition(".")[2] for result in results) == ["MomentMatching", "SourceOnly"]
    assert "| moment matching |" in Path("results/my_table/table.md").read_text()


@pytest.mark.parametrize(("name", "sentence"), [("full", "full is not empty"), ("file", "file is a file")])
def test_nothing_is_overwritten(tlda: Tlda, name: str, sentence: str) -> None:
    Path("full").mkdir()
    Path("full/mine").touch()
    Path("file").touch()
    done = tlda("init", name)
    assert done.code == 1
    assert [sentence in line for line in done.sentences] == [True]
    assert [path.name for path in Path("full").iterdir()] == ["mine"]


def test_an_installed_package_writes_it_and_lists_none_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "tlda"
    shutil.copytree(REPO / "examples" / "project", package / "shipped" / "examples" / "project")
    monkeypatch.setattr("tlda.config.shipped.__file__", str(package / "config" / "shipped.py"))
    assert "my_method.py" in write_project(tmp_path / "demo")
    monkeypatch.setattr(index, "PACKAGE", package)
    assert index.classes.__wrapped__() == ()


def test_every_file_of_the_project_is_in_the_wheel_and_in_the_source_distribution() -> None:
    assert '"examples/project": "*"' in (REPO / "setup.py").read_text()
    assert "recursive-include examples/project *\n" in (REPO / "MANIFEST.in").read_text()
