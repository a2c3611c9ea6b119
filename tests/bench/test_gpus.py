"""Workers on GPUs, with a fake of their number: which each gets, what they share, and what runs again alone."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from tlda.bench import cell as cells
from tlda.bench import launch
from tlda.bench.cell import Failed, try_cell
from tlda.bench.launch import Device, Local, default_workers, devices, gpus
from tlda.bench.launching import Options
from tlda.bench.table import Cell


def has(monkeypatch: pytest.MonkeyPatch, count: int, visible: str | None = None) -> None:
    """Pretend that PyTorch sees ``count`` GPUs, and that CUDA_VISIBLE_DEVICES is ``visible``."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


@pytest.mark.parametrize(
    ("count", "visible", "names"),
    [
        (2, None, ["0", "1"]),
        (0, None, []),
        (0, "", []),
        (2, "3, 1", ["3", "1"]),
        (1, "2,-1,0", ["2"]),
        (0, "-1", []),
        (1, "GPU-8f6c", ["GPU-8f6c"]),
        (1, "MIG-1a,MIG-2b", ["MIG-1a", "MIG-2b"]),
    ],
)
def test_the_gpus_are_those_that_are_visible(count: int, visible: str | None, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    has(monkeypatch, count, visible)
    assert gpus() == names
    assert not names or default_workers() == len(names), "one worker per GPU by default"


def test_workers_share_gpus_evenly_and_say_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    has(monkeypatch, 2)
    assert [(device.name, device.share) for device in devices(2)] == [("0", 1.0), ("1", 1.0)]
    assert [device.name for device in devices(1)] == ["0"]
    assert not capsys.readouterr().err
    found = devices(5)
    assert [(device.name, device.workers) for device in found] == [("0", 3), ("1", 2), ("0", 3), ("1", 2), ("0", 3)]
    assert found[0] is found[2]
    assert found[1].share == 0.45
    assert "5 workers share 2 GPUs: each may take 30% of a GPU's memory" in capsys.readouterr().err
    has(monkeypatch, 0)
    assert [device.name for device in devices(2)] == [None, None]
    assert not capsys.readouterr().err


class Here:
    """A worker whose cells run in the thread that asks; those that begin with b have enough memory only where they are alone."""

    running: ClassVar[int] = 0
    beside: ClassVar[list[int]] = []

    def __init__(self, device: Device) -> None:
        self.device, self.pool, self.is_alone = device, self, False

    def restart(self, alone: bool = False) -> None:
        self.is_alone = alone

    def submit(self, work: object, folder: Path, cell: Cell, group: str | None) -> Future[Any]:
        done: Future[Any] = Future()
        Here.running += 1
        if self.is_alone:
            Here.beside.append(Here.running)
        threading.Event().wait(0.02)
        Here.running -= 1
        done.set_result({"of": cell.method} if self.is_alone or cell.method[0] != "b" else Failed("out of memory", "", True))
        return done


def test_a_cell_that_wants_more_memory_runs_again_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    has(monkeypatch, 1)
    monkeypatch.setattr(launch, "Worker", Here)
    monkeypatch.setattr(Here, "beside", [])
    local = Local(Options(workers=3), 8)
    names = ["a", "big", "c", "d", "bigger", "e", "f", "g"]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda name: local.run(tmp_path, Cell(name, "t", 0, {}, {}, "")), names))
    assert found == [{"of": name} for name in names]
    assert Here.beside == [1, 1], "nothing ran beside the two"
    assert "tlda: big-t-0 wants more memory than its share of GPU 0: it runs again, alone" in capsys.readouterr().err


def test_a_worker_with_its_gpu_alone_fails_where_the_memory_runs_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    has(monkeypatch, 1)
    monkeypatch.setattr(launch, "Worker", Here)
    outcome = Local(Options(workers=1), 1).run(tmp_path, Cell("big", "t", 0, {}, {}, ""))
    assert isinstance(outcome, Failed)


def test_that_the_memory_ran_out_is_part_of_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(cells, "run_cell", fails)
    outcome = try_cell(tmp_path, Cell("m", "t", 0, {}, {}, "key"))
    assert isinstance(outcome, Failed)
    assert outcome.wants_memory
