"""Launchers: time, other processes, full disks and clusters."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import Timeout

from tests.bench.test_bench import FAILING, RESULTS, here, write  # noqa: F401  (a fixture)
from tests.conftest import Tlda
from tests.helpers.results import result_of
from tlda.bench import launch
from tlda.bench.cell import Failed, try_cell
from tlda.bench.clusters import Ray
from tlda.bench.launching import Options, Outcome
from tlda.bench.results import claim, read_result, write_result
from tlda.bench.table import METRIC, Cell
from tlda.errors import UserError

CELL = Cell("m", "t", 0, {}, {}, "key")

WORK = """
import time
def start(threads, parent, share):
    pass
def work(folder, cell, group):
    if cell.method == "endless":
        time.sleep(600)
    return {"done": cell.method}
"""


def test_a_cell_that_never_ends_is_ended_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless_bench.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    import endless_bench  # type: ignore[import-not-found]

    monkeypatch.setattr(launch, "try_cell", endless_bench.work)
    monkeypatch.setattr(launch, "start_worker", endless_bench.start)
    ended: dict[str, Any] = {}
    cells = [Cell(name, "t", 0, {}, {}, "") for name in ("endless", "a", "b")]
    local = launch.Local(Options(workers=1, timeout=5.0), len(cells))
    failed = launch.run_cells(cells, tmp_path, local, lambda cell, result: ended.update({cell.method: result}))
    assert failed["endless-t-0"].startswith("it took longer than 5 s and was ended: raise --cell-timeout")
    assert ended == {"endless": None, "a": {"done": "a"}, "b": {"done": "b"}}


@pytest.mark.slow
def test_a_cell_runs_in_one_process_at_a_time_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Cell] = []

    def run_cell(folder: Path, cell: Cell, group: str | None) -> dict[str, Any]:
        ran.append(cell)
        return {"key": "key"}

    monkeypatch.setattr("tlda.bench.cell.run_cell", run_cell)
    with claim(tmp_path, CELL, 0):
        assert try_cell(tmp_path, CELL) is None
    assert not ran
    write_result(tmp_path, CELL, result_of(CELL, by="another"))
    assert try_cell(tmp_path, CELL) == result_of(CELL, by="another", metric=METRIC), "it was finished in the meantime"
    assert not ran


def test_what_another_bench_runs_is_waited_for_and_run_where_that_gave_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = threading.Event()

    def other() -> None:
        with claim(tmp_path, CELL, 0):
            held.set()
            time.sleep(0.5)

    threading.Thread(target=other).start()
    assert held.wait(10)
    told: dict[str, Any] = {}
    assert launch.run_cells([CELL], tmp_path, Shared(), lambda cell, result: told.update({cell.name: result})) == {}
    assert told == {CELL.name: {"mine": True}}
    assert "waiting for 1 cells that another task or another `tlda bench` runs" in capsys.readouterr().err


def test_a_cell_that_comes_after_others_leaves_its_worker_to_what_is_ready(tmp_path: Path) -> None:
    source, other = (Cell(name, "t", 0, {}, {}, name) for name in ("source", "other"))
    translator = Cell("translator", "t", 0, {}, {}, "translator", first=source)
    last = Cell("last", "t", 0, {}, {}, "last", translator=translator)
    events: list[str] = []

    class Slow:
        """A launcher of two slots where the first stages take long."""

        slots = 2

        def run(self, folder: Path, cell: Cell) -> Outcome:
            events.append(f"{cell.method} starts")
            time.sleep(0.1 if cell is other else 0.3)
            events.append(f"{cell.method} ends")
            return {}

        def close(self) -> None:
            self.slots = 0

    assert launch.run_cells([source, translator, last, other], tmp_path, Slow(), lambda cell, result: None) == {}
    assert set(events[:2]) == {"source starts", "other starts"}
    assert events[2:] == ["other ends", "source ends", "translator starts", "translator ends", "last starts", "last ends"]


class Shared:
    """A launcher that finds a cell taken where another holds it."""

    slots = 1

    def run(self, folder: Path, cell: Cell) -> Outcome:
        try:
            with claim(folder, cell, 0):
                return {"mine": True}
        except Timeout:
            return None

    def close(self) -> None:
        self.slots = 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system takes rights that this user has not")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_nothing_corrupt(small_disk: Path) -> None:
    whole = result_of(CELL)
    write_result(small_disk, CELL, whole)
    with pytest.raises(UserError, match=r"cannot write .*m-t-1.json \(No space left on device\): free space there"):
        write_result(small_disk, Cell("m", "t", 1, {}, {}, "key"), {"key": "key", "long": "x" * 100_000})
    assert [path.name for path in small_disk.iterdir()] == ["m-t-0.json"]
    assert read_result(small_disk, CELL) == whole | {"metric": METRIC}
    failed = launch._record(Failed("The sentence", "x" * 100_000), small_disk, CELL)
    assert failed == "The sentence (and no log could be kept: No space left on device)"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes into any folder")
def test_a_folder_that_cannot_be_written_is_named_at_once(tlda: Tlda) -> None:
    RESULTS.mkdir(parents=True)
    RESULTS.chmod(0o500)
    done = tlda("bench", write())
    assert done.code == 1
    assert "cannot write into" in done.err


def test_an_unknown_launcher_is_named_with_the_near_one(tlda: Tlda) -> None:
    done = tlda("bench", write(), "--launcher", "slrm")
    assert done.code == 1
    assert "there is no launcher 'slrm'; did you mean 'slurm'?" in done.err


def test_a_launcher_that_is_not_installed_names_its_extra(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = tlda("bench", write(), "--launcher", "ray")
    assert done.code == 1
    assert "--launcher ray needs ray, which is not installed: pip install 'tlda[ray]'" in done.err


def test_the_process_is_told_to_stop_after_ray_as_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(number: int, frame: Any) -> None:
        raise SystemExit(number)

    ray = SimpleNamespace(is_initialized=lambda: False, init=lambda **_: signal.signal(signal.SIGTERM, ends), remote=lambda **_: repr)
    ray.cluster_resources, ray.shutdown = lambda: {"CPU": 2.0}, lambda: None
    monkeypatch.setitem(sys.modules, "ray", ray)
    before = signal.getsignal(signal.SIGTERM)
    launcher = Ray(Options(), 1)
    assert signal.getsignal(signal.SIGTERM) is ends, "while cells run, Ray's own handler ends its processes"
    launcher.close()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
@pytest.mark.usefixtures("here", "all_digits")
def test_ray_gives_the_table_that_this_process_gives_though_a_worker_dies(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # by Ray's 15 they would wait for every other test
    narrow = ["--methods", "shaky", "--tasks", "fh", "--seeds", "0"]
    before = signal.getsignal(signal.SIGTERM)
    Path("shaky_bench.py").write_text(FAILING)
    tables = []
    for launcher in ("ray", "local"):
        path = write(methods={"shaky": {"model": {"class_path": "shaky_bench.Shaky"}}})
        done = tlda("bench", path, *narrow, "--launcher", launcher, "--workers", "1")
        assert done.code == 0, done.err
        assert Path("died").exists()
        tables.append({file.name: file.read_bytes() for file in RESULTS.glob("table.*")})
        shutil.rmtree(RESULTS)
    assert tables[0] == tables[1]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_slurm_is_asked_for_a_job_a_cell(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit")
    asked: list[dict[str, Any]] = []

    class Here(submitit.DebugExecutor):  # type: ignore[misc, name-defined]
        """Runs a job in this process, when its result is asked for; as SLURM's other process it has only what can be pickled."""

        def __init__(self, folder: Path, cluster: str) -> None:
            super().__init__(folder)

        def update_parameters(self, **options: Any) -> None:
            asked.append(options)

        def submit(self, *job: Any) -> Any:
            return super().submit(*pickle.loads(pickle.dumps(job)))

    monkeypatch.setattr(submitit, "AutoExecutor", Here)
    monkeypatch.setattr("shutil.which", lambda name: name)
    narrow = ["--methods", "source_only", "--tasks", "fh", "--seeds", "0"]
    done = tlda("bench", write(), *narrow, "--launcher", "slurm", "--num-cpus", "2", "--cell-timeout", "600")
    assert done.code == 0, done.err
    assert asked == [{"timeout_min": 10, "cpus_per_task": 2, "gpus_per_node": 0, "name": "tlda-source_only-fh-0"}]
    assert json.loads((RESULTS / "source_only-fh-0.json").read_text())["method"] == "source_only"
