"""Tables: what runs, what is kept, and what a kept result is worth."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import EXPERIMENTS, HANDWRITTEN, Tlda
from tests.helpers.fresh import start
from tlda.bench import launch
from tlda.bench.cell import Failed, try_cell
from tlda.bench.launching import Options
from tlda.bench.table import Cell, load_table, merge
from tlda.cli import main
from tlda.config.protocol import own_code
from tlda.data.extractor import code_of

TABLE: dict[str, Any] = {
    "title": "Tiny",
    "base": [
        str(EXPERIMENTS / "base" / "embedded.yaml"),
        {"trainer": {"max_epochs": 1, "precision": 32}, "data": {"init_args": {"steps": 2, "batch_size": 8}}},
    ],
    "methods": {"source_only": str(EXPERIMENTS / "method" / "source_only.yaml"), "dann": {"model": {"class_path": "DANN"}}},
    "tasks": {"fh": str(EXPERIMENTS / "task" / "fonts_handwritten.yaml"), "hf": str(EXPERIMENTS / "task" / "handwritten_fonts.yaml")},
    "seeds": [0, 1],
}
RESULTS = Path("results/tiny")


class Here:
    """A launcher that runs cells in this process, and so starts none."""

    slots = 1

    def __init__(self, options: Options, cells: int) -> None:
        self.options = options

    def run(self, folder: Path, cell: Cell) -> Any:
        return try_cell(folder, cell, self.options.wandb_group)

    def close(self) -> None:
        return None


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(launch.LAUNCHERS, "local", Here)


def write(**changes: Any) -> Path:
    path = Path("tiny.yaml")
    path.write_text(yaml.safe_dump(merge(copy.deepcopy(TABLE), changes), sort_keys=False))
    return path


def files() -> dict[str, tuple[int, int]]:
    """The result files, each with what changes when it is written anew."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in RESULTS.glob("*.json")}


def test_merge_lets_the_later_win() -> None:
    first = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge(first, {"a": {"c": [3]}}, {"d": {"e": 2}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 2}}
    assert first == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_each_cell_is_a_file_and_runs_once(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write()
    done = tlda("bench", path, "--methods", "source_only", "--seeds", "0")
    assert done.code == 0, done.err
    first = files()
    assert set(first) == {"source_only-fh-0.json", "source_only-hf-0.json"}
    assert "(1/2)" in (RESULTS / "table.md").read_text()  # the whole table, of which a part ran

    result = json.loads((RESULTS / "source_only-fh-0.json").read_text())
    assert result["sees"] == ["source"]
    assert result["config"]["data"]["init_args"]["steps"] == 2
    assert result["config"]["model"]["init_args"]["backbone"]["init_args"]["size"] == 16
    assert sum(map(sum, result["confusion"])) == HANDWRITTEN
    hits = sum(row[i] for i, row in enumerate(result["confusion"]))
    assert result["metrics"]["test/target/accuracy"] == pytest.approx(hits / HANDWRITTEN, abs=1e-6)

    assert tlda("bench", path).code == 0
    assert len(files()) == 8
    assert {name: files()[name] for name in first} == first, "what was finished did not run again"
    assert "(1/2)" not in (RESULTS / "table.md").read_text()

    def never(*args: Any) -> None:
        raise AssertionError("a finished table runs nothing")

    monkeypatch.setattr(launch, "run_cells", never)
    finished, text = files(), (RESULTS / "table.md").read_text()
    assert tlda("bench", path).code == tlda("bench", path, "--render").code == 0
    assert (files(), (RESULTS / "table.md").read_text()) == (finished, text)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_what_is_damaged_or_of_other_settings_runs_again(tlda: Tlda) -> None:
    narrow = ["--tasks", "fh", "--seeds", "0"]
    assert tlda("bench", write(), *narrow).code == 0
    before = files()
    damaged = RESULTS / "source_only-fh-0.json"
    whole = json.loads(damaged.read_text())
    damaged.write_text(damaged.read_text()[:100])
    done = tlda("bench", "tiny.yaml", *narrow)
    assert done.code == 0
    assert "1 left out, damaged (it is no JSON): source_only-fh-0.json" in done.out
    assert json.loads(damaged.read_text())["metrics"] == whole["metrics"]
    assert files()["dann-fh-0.json"] == before["dann-fh-0.json"]

    before = files()
    assert tlda("bench", write(methods={"dann": {"model": {"init_args": {"trade_off": 0.5}}}}), *narrow).code == 0
    after = files()
    assert after["source_only-fh-0.json"] == before["source_only-fh-0.json"]
    assert after["dann-fh-0.json"] != before["dann-fh-0.json"]


STILL = {"model": {"class_path": "SourceOnly", "init_args": {"optimizer": {"class_path": "SGD", "init_args": {"lr": 0.0}}}}}


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_method_starts_from_the_checkpoint_of_the_one_it_comes_after(tlda: Tlda) -> None:
    narrow = ["--tasks", "fh", "--seeds", "1"]
    path = write(methods={"still": STILL}, after={"still": "source_only"})
    assert tlda("bench", path, "--methods", "still", *narrow).code == 0
    assert set(files()) == {"still-fh-1.json"}, "a first stage alone is no cell"
    assert len(list((RESULTS / "checkpoints").iterdir())) == 1
    kept = next((RESULTS / "checkpoints").iterdir()).stat().st_mtime_ns
    assert tlda("bench", path, *narrow).code == 0
    metrics = {name: json.loads((RESULTS / f"{name}-fh-1.json").read_text()) for name in ("source_only", "still", "dann")}
    assert metrics["still"]["metrics"] == metrics["source_only"]["metrics"] != metrics["dann"]["metrics"]
    assert metrics["still"]["config"]["model"]["init_args"]["init_from"] == "source_only-fh-1"
    assert next((RESULTS / "checkpoints").iterdir()).stat().st_mtime_ns != kept, "the first stage's own cell leaves it anew"

    keys = {cell.method: cell.key for cell in load_table(path).cells() if cell.name.endswith("fh-1")}
    assert keys["source_only"] == load_table(write()).cells()[4].key
    changed = load_table(write(methods={"still": STILL, "source_only": STILL}, after={"still": "source_only"}))
    assert keys["still"] != next(cell.key for cell in changed.cells() if cell.name == "still-fh-1")


@pytest.mark.parametrize("after", [{"dann": "dan"}, {"source_only": "dann"}, {"dan": "dann"}])
def test_a_method_comes_after_one_above_it(tlda: Tlda, after: dict[str, str]) -> None:
    done = tlda("bench", write(after=after))
    assert done.code == 1
    assert "cannot come after" in done.err


@pytest.mark.slow
def test_where_data_lie_decides_no_result_and_all_else_does(tlda: Tlda) -> None:
    def key(**options: Any) -> str:
        return (
            load_table(write(tasks={"fh": {"data": {"init_args": {"source": "fonts", "target": "handwritten", **options}}}})).cells()[0].key
        )

    same, other = {key(), key(root="elsewhere"), key(num_workers=1)}, {key(steps=3), key(augment=[{"class_path": "RandomCrop"}])}
    assert len(same) == 1
    assert len(other) == 2
    assert not same & other


@pytest.mark.slow
def test_where_the_data_of_several_tasks_lie_decides_no_result(tlda: Tlda) -> None:
    def key(**options: Any) -> str:
        digits = {"class_path": "Digits", "init_args": {"source": "fonts", "target": "handwritten", **options}}
        task = {
            "data": {"class_path": "Tasks", "init_args": {"tasks": {"digit": digits}}},
            "model": {"class_path": "MultiTask", "init_args": {"backbone": "LeNet"}},
        }
        return load_table(write(base=None, methods={"source_only": {}, "dann": {}}, tasks={"fh": task, "hf": task})).cells()[0].key

    assert key() == key(root="elsewhere", num_workers=1)
    assert key() != key(size=8)


def test_the_code_of_one_s_own_class_decides_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mine")
    module.__file__ = str(tmp_path / "mine.py")
    monkeypatch.setitem(sys.modules, "mine", module)
    config = {"model": {"class_path": "mine.Method"}, "data": {"class_path": "tlda.data.Digits", "init_args": {}}, "trainer": {}}
    found = []
    for code in ("1", "2"):
        (tmp_path / "mine.py").write_text(code)
        code_of.cache_clear()
        found.append(own_code(config))
    assert [*found[0]] == ["mine"]  # type: ignore[misc]
    assert found[0] != found[1]
    assert own_code(config | {"model": {"class_path": "tlda.methods.DANN"}}) is None


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_table_s_callbacks_run_and_decide_its_results(tlda: Tlda) -> None:
    stop = {"class_path": "EarlyStopping", "init_args": {"monitor": "val/source/accuracy", "stopping_threshold": -1.0, "mode": "max"}}
    plain = load_table(write()).cells()[0]
    path = write(trainer={}, base=[*TABLE["base"], {"trainer": {"max_epochs": 3, "callbacks": [stop]}}])
    path.write_text(path.read_text().replace("trainer: {}\n", ""))
    done = tlda("bench", path, "--methods", "source_only", "--tasks", "fh", "--seeds", "0")
    assert done.code == 0, done.err
    result = json.loads((RESULTS / "source_only-fh-0.json").read_text())
    assert result["epochs"] == 1
    assert result["key"] != plain.key


FAILING = """
import os
from pathlib import Path
from tlda.methods import SourceOnly

class Broken(SourceOnly):
    def objective(self, batch, source, target):
        raise RuntimeError("the wheel came off")

class Shaky(SourceOnly):
    def objective(self, batch, source, target):
        if not Path("died").exists():
            Path("died").touch()
            os._exit(3)
        return super().objective(batch, source, target)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_failed_cell_is_told_with_its_log_and_the_others_go_on(tlda: Tlda) -> None:
    Path("failing_bench.py").write_text(FAILING)
    methods = {
        "broken": {"model": {"class_path": "failing_bench.Broken"}},
        "blind": {"model": {"init_args": {"backbone": {"init_args": {"channels": 3}}}}},
    }
    done = tlda("bench", write(methods=methods), "--methods", "broken,blind,dann", "--tasks", "fh", "--seeds", "0")
    assert done.code == 1
    assert len(done.sentences) == 1
    assert "2 of 3 cells failed" in done.sentences[0]
    assert "broken-fh-0: RuntimeError: the wheel came off" in done.err
    assert "blind-fh-0: LeNet takes 3 channel(s), the images have 1" in done.err
    assert "Traceback" not in done.err
    log = (RESULTS / "failed" / "broken-fh-0.log").read_text()
    assert "Traceback" in log
    assert "failing_bench.py" in log
    assert set(files()) == {"dann-fh-0.json"}
    (row,) = (line for line in (RESULTS / "table.md").read_text().splitlines() if line.startswith("| broken "))
    assert set(row.replace("broken", "").split()) == {"|", "–"}


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_target_without_labels_measures_nothing(tlda: Tlda) -> None:
    from tests.helpers.folders import write_folders

    root = write_folders(Path("photos"), "ab", ".")
    task = {
        "model": {"init_args": {"backbone": {"init_args": {"channels": 3}}}},
        "data": {"class_path": "Folders", "init_args": {"root": str(root)}},
    }
    done = tlda("bench", write(tasks={"photos": task}), "--tasks", "photos", "--methods", "dann", "--seeds", "0")
    assert done.code == 1
    assert "'photos' has no labels to measure with" in done.err


WORK = """
import os, time
def start(threads, parent, share):
    pass
def work(folder, cell, group):
    if cell.method == "deadly":
        time.sleep(0.5)
        os._exit(3)
    if cell.method == "shaky" and not (folder / "died").exists():
        (folder / "died").touch()
        os._exit(3)
    time.sleep(1.0)
    return {"by": os.getpid()}
"""


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_a_cell_that_always_dies_fails_alone(
    tlda: Tlda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work_bench.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    import work_bench  # type: ignore[import-not-found]

    monkeypatch.setattr(launch, "try_cell", work_bench.work)
    monkeypatch.setattr(launch, "start_worker", work_bench.start)
    cells = [Cell(method, "task", 0, {}, {}, "") for method in ("deadly", "slow", "shaky", "other")]
    ended: dict[str, Any] = {}
    local = launch.Local(Options(workers=2), len(cells))
    failed = launch.run_cells(cells, tmp_path, local, lambda cell, result: ended.update({cell.method: result}))
    assert set(failed) == {"deadly-task-0"}
    assert "died 2 times" in failed["deadly-task-0"]
    assert ended["deadly"] is None
    assert all(ended[name]["by"] for name in ("slow", "shaky", "other"))
    assert (tmp_path / "failed" / "deadly-task-0.log").is_file()


def test_what_a_worker_raises_is_told_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(Exception):
        def __init__(self, first: int, second: int) -> None:  # which no other process could read back
            super().__init__(f"{first} and {second}")

    def raise_odd(*args: Any) -> None:
        raise Odd(1, 2)

    monkeypatch.setattr("tlda.bench.cell.run_cell", raise_odd)
    from tlda.bench.cell import try_cell

    outcome = try_cell(tmp_path, Cell("m", "t", 0, {}, {}, ""))
    assert isinstance(outcome, Failed)
    assert outcome.sentence == "Odd: 1 and 2"
    assert "raise_odd" in outcome.log


def _children(pid: int) -> set[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.splitlines())}
    return {child for child, parent in parents.items() if parent == pid}


def _wait(condition: Any, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} took more than {seconds} s"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.usefixtures("here", "all_digits")
def test_kill_9_loses_the_unfinished_cells_alone(tlda: Tlda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slower = {"base": [*TABLE["base"], {"data": {"init_args": {"steps": 15}}}], "tasks": {"fh": TABLE["tasks"]["fh"]}}
    narrow = ["--tasks", "fh"]
    (tmp_path / "killed").mkdir()
    monkeypatch.chdir("killed")
    write(**slower)
    running = start(main, ["bench", "tiny.yaml", *narrow, "--workers", "1"], output=tmp_path / "said.txt")
    _wait(lambda: list(RESULTS.glob("*.json")), 240, "the first cell")
    assert running.pid is not None
    workers = _children(running.pid)
    running.kill()
    running.join()
    _wait(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 60, "the end of the orphans")
    finished = files()
    assert 0 < len(finished) < 4
    assert workers, "there were workers to end"

    assert tlda("bench", "tiny.yaml", *narrow).code == 0
    assert len(files()) == 4
    assert {name: files()[name] for name in finished} == finished

    (tmp_path / "undisturbed").mkdir()
    monkeypatch.chdir(tmp_path / "undisturbed")
    assert tlda("bench", write(**slower), *narrow).code == 0
    for name in ("table.md", "table.csv"):
        assert (RESULTS / name).read_bytes() == (tmp_path / "killed" / RESULTS / name).read_bytes()
