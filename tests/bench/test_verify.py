"""What a result file says of its machine, and cells that run once more."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.bench.test_bench import RESULTS, here, write  # noqa: F401
from tests.conftest import Tlda
from tests.helpers.results import result_of
from tlda.bench.machine import UNRECORDED, build, commit, kind, model_of, this_machine
from tlda.bench.render import _on
from tlda.bench.schema import fault
from tlda.bench.table import Cell
from tlda.bench.verify import _tried, compared

CELL = Cell("m", "t", 0, {}, {}, "key")
MACHINE: dict[str, Any] = {"processor": "P", "instructions": "AVX2", "gpu": None}

CPUINFO = """processor\t: 0
cpu family\t: 25
model\t\t: 1
model name\t: AMD  EPYC

processor\t: 1
cpu family\t: 26
model name\t: Another
"""


def test_the_machine_is_told() -> None:
    machine = this_machine()
    assert machine["processor"]
    assert machine["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert (machine["threads"], machine["torch"], machine["gpu"]) == (torch.get_num_threads(), torch.__version__, None)
    assert model_of(CPUINFO) == "AMD EPYC (family 25, model 1)"
    assert model_of("processor : 0\nBogoMIPS : 50.0\n") == ""
    shown = (
        "  - GCC 13.3\n  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build\n  - Intel(R) MKL-DNN v3.12.0 (Git Hash 80)\n"
    )
    assert build(shown) == "GCC 13.3, MKL 2024.2, oneDNN 3.12.0"


def test_the_commit_is_of_the_package_s_own_checkout(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert commit(package) is None

    def git(*args: str) -> str:
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *names, *args], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "other").write_text("")
    git("add", "other")
    git("commit", "-m", "other")
    commit.cache_clear()
    assert commit(package) is None, "it lies in a repository that is another's"
    git("add", "package")
    git("commit", "-m", "package")
    commit.cache_clear()
    assert commit(package) == git("rev-parse", "--short=12", "HEAD")
    (package / "__init__.py").write_text("1")
    commit.cache_clear()
    assert commit(package) == git("rev-parse", "--short=12", "HEAD") + "+changes"


def test_a_machine_that_is_none_is_damaged_and_a_file_without_one_is_not() -> None:
    assert fault(result_of(CELL), CELL) == ""
    assert fault(result_of(CELL, machine=MACHINE), CELL) == ""
    wrong: list[Any] = [[], {}, "x", {**MACHINE, "processor": None}, {**MACHINE, "gpu": 3}]
    for machine in wrong:
        assert fault(result_of(CELL, machine=machine), CELL) == "its 'machine' is not a processor and its instruction set"


def test_a_table_says_what_it_was_measured_on() -> None:
    old, new, gpu = (result_of(CELL, machine=machine) for machine in (None, MACHINE, {**MACHINE, "gpu": "H100"}))
    assert _on({}) == ""
    assert _on({("m", "t", 0): old}) == f", on {UNRECORDED}"
    assert _on({("m", "t", 0): new, ("m", "t", 1): new}) == ", on P with AVX2"
    mixed = _on({("m", "t", 0): new, ("m", "t", 1): old, ("m", "t", 2): new, ("m", "t", 3): gpu})
    assert "mixed machines (1 on H100, 2 on P with AVX2, 1 on a processor that was not recorded)" in mixed
    assert kind(MACHINE) == "P with AVX2"  # type: ignore[arg-type]


def test_differences_are_by_metric() -> None:
    before = {"metrics": {"a": 0.5, "b": 0.25, "c": float("nan"), "d": 1.0}, "confusion": [[3, 1], [0, 4]]}
    after = {"metrics": {"a": 0.5, "b": 0.375, "c": float("nan"), "e": 1.0}, "confusion": [[2, 2], [0, 4]]}
    assert compared(before, after) == [
        ["b", "0.250000", "0.375000", "+1.25e-01"],
        ["d", "1.000000", "–", "only one has it"],
        ["e", "–", "1.000000", "only one has it"],
        ["2 of 5 metrics", "", "", "bit-equal"],
        ["confusion", "", "", "1 rows moved"],
    ]
    assert compared(before, before)[-1][-1] == "equal"
    assert compared(before, {**after, "confusion": [[8]]})[-1][-1] == "of other classes"


def test_no_bfloat16_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Cell("first", "t", 0, {"trainer": {"precision": "bf16-mixed"}}, {}, "key")
    cell = Cell("m", "t", 0, {"trainer": {"precision": "bf16-mixed", "max_epochs": 2}}, {}, "key", first)
    exact = Cell("m", "t", 0, {"trainer": {"precision": "64-true"}}, {}, "key")
    monkeypatch.setattr("tlda.nn.computes_in_bfloat16", lambda device: True)
    assert _tried(cell) == cell
    monkeypatch.setattr("tlda.nn.computes_in_bfloat16", lambda device: False)
    tried = _tried(cell)
    assert (tried.config["trainer"], tried.key) == ({"precision": "32-true", "max_epochs": 2}, "key")
    assert tried.first is not None
    assert tried.first.config["trainer"] == {"precision": "32-true"}
    assert _tried(exact) == exact


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_cells_run_once_more(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    path = write(seeds=[0])
    assert "nothing to verify" in tlda("bench", path, "--verify", "1").sentences[0]
    assert tlda("bench", path, "--methods", "source_only", "--tasks", "fh").code == 0
    (file,) = RESULTS.glob("*.json")
    result = json.loads(file.read_text())
    assert result["machine"]["threads"] == 1
    shown = tlda("bench", path, "--verify", "5", "--seed", "3")
    assert shown.code == 0, shown.err
    assert "1 of 1 finished cells" in shown.out
    assert f"{len(result['metrics'])} of {len(result['metrics'])} metrics" in shown.out
    assert "confusion" in shown.out
    result["metrics"]["test/target/accuracy"] /= 2
    del result["machine"]
    file.write_text(json.dumps(result))
    written = file.stat().st_mtime_ns
    shown = tlda("bench", path, "--verify", "1")
    assert shown.code == 0, "a difference is told, and is no failure"
    assert "test/target/accuracy" in shown.out
    assert "not recorded" in shown.out
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize(("args", "why"), [(["--seed", "1"], "--seeds names"), (["--verify", "1", "--render"], "leave --render out")])
def test_options_that_contradict(args: list[str], why: str, tlda: Tlda) -> None:
    assert why in tlda("bench", "nothing.yaml", *args).sentences[0]
