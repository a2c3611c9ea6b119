"""Run cells: in long-lived local workers that survive a crash of one of them, on a Ray cluster, or through SLURM."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from tlda.bench.cell import Failed, start_worker, try_cell
from tlda.bench.launching import ATTEMPTS, Launcher, Options, Outcome, overdue
from tlda.bench.results import claim
from tlda.bench.table import Cell
from tlda.errors import UserError, near
from tlda.writing import write_text


def gpus() -> list[str]:
    """The names of the GPUs that this process may use, each of which a worker gets as its ``CUDA_VISIBLE_DEVICES``.

    They are those that this variable has here, where it is set: numbers, or the names of GPUs or of parts of one (MIG). Of parts a
    process sees only the first, so that PyTorch's count of them is 1, and all are taken.
    """
    import torch

    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    if visible and count and all(name.startswith("MIG-") for name in visible):
        return visible
    return visible[:count] if visible else [str(number) for number in range(count)]


def default_workers() -> int:
    """One worker per GPU, or one per core where there is no GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return len(gpus()) or cores or 1


SHARED = 0.9
"""The part of a GPU's memory that workers share; the rest is what each process has before it computes anything."""


class Device:
    """A GPU, or None where there is none: its workers share it, and one of them can have it alone."""

    def __init__(self, name: str | None, workers: int) -> None:
        self.name, self.workers = name, workers
        self.changed, self.shared_by, self.asked, self.taken = threading.Condition(), 0, 0, False

    @property
    def share(self) -> float:
        """The share of its memory that each of its workers may take."""
        return 1.0 if self.workers == 1 else SHARED / self.workers

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Use the GPU beside others, once nobody has it, or waits for it, alone."""
        with self.changed:
            self.changed.wait_for(lambda: not self.asked)
            self.shared_by += 1
        try:
            yield
        finally:
            with self.changed:
                self.shared_by -= 1
                self.changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Use the GPU once no other does."""
        with self.changed:
            self.asked += 1
            self.changed.wait_for(lambda: not self.shared_by and not self.taken)
            self.taken = True
        try:
            yield
        finally:
            with self.changed:
                self.asked, self.taken = self.asked - 1, False
                self.changed.notify_all()


class Worker:
    """A process that runs one cell after another, on a GPU of its own where there are enough, and that is replaced when it dies."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.env = {} if device.name is None else {"CUDA_VISIBLE_DEVICES": device.name}
        self.start()

    def start(self, alone: bool = False) -> None:
        """Start a process in a pool of its own, so that it is known which cell ended it; ``alone``, it may take all of the GPU's memory."""
        from loky import ProcessPoolExecutor

        share = 1.0 if alone or self.device.name is None else self.device.share
        self.pool = ProcessPoolExecutor(1, timeout=None, initializer=start_worker, initargs=(1, os.getpid(), share), env=self.env)

    def stop(self) -> None:
        """End the process."""
        self.pool.shutdown(wait=False, kill_workers=True)

    def restart(self, alone: bool = False) -> None:
        """Start anew, see :meth:`start`."""
        self.stop()
        self.start(alone)


def devices(workers: int) -> list[Device]:
    """The device of each of ``workers``, which share GPUs evenly where there are more of them; that they share is said."""
    names: list[str | None] = [*gpus()] or [None]
    found = [Device(name, len(range(number, workers, len(names)))) for number, name in enumerate(names[:workers])]
    if found[0].name is not None and workers > len(found):
        told = f"{workers} workers share {len(found)} GPU{'s' * (len(found) > 1)}: each may take {found[0].share:.0%} of a GPU's memory"
        print(f"tlda: {told}, and a cell that wants more is run again alone", file=sys.stderr)
    return [found[number % len(found)] for number in range(workers)]


class Local:
    """Workers on this machine."""

    def __init__(self, options: Options, cells: int) -> None:
        self.slots = min(options.workers or default_workers(), cells)
        self.options, self.closed = options, False
        self.workers = [Worker(device) for device in devices(self.slots)]
        self.idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self.workers:
            self.idle.put(worker)

    def run(self, folder: Path, cell: Cell) -> Outcome:
        """Run ``cell`` in the next idle process, in a new one where that process dies, and alone where the GPU's memory runs out."""
        worker = self.idle.get()
        try:
            with worker.device.shared():
                outcome = self._tried(worker, folder, cell)
            if not (isinstance(outcome, Failed) and outcome.wants_memory and worker.device.workers > 1):
                return outcome
            told = f"{cell.name} wants more memory than its share of GPU {worker.device.name}"
            print(f"tlda: {told}: it runs again, alone", file=sys.stderr)
            with worker.device.alone():
                worker.restart(alone=True)
                try:
                    return self._tried(worker, folder, cell, alone=True)
                finally:
                    worker.restart()
        finally:
            self.idle.put(worker)

    def _tried(self, worker: Worker, folder: Path, cell: Cell, alone: bool = False) -> Outcome:
        for _ in range(ATTEMPTS):
            try:
                outcome: Outcome = worker.pool.submit(try_cell, folder, cell, self.options.wandb_group).result(self.options.timeout)
                return outcome
            except TimeoutError:
                worker.restart(alone)
                return overdue(self.options)
            except BrokenProcessPool:
                if self.closed:
                    break
                worker.start(alone)
        return Failed(f"its worker died {ATTEMPTS} times, perhaps for want of memory: use fewer --workers", "")

    def close(self) -> None:
        self.closed = True
        for worker in self.workers:
            worker.stop()


def _ray(options: Options, cells: int) -> Launcher:
    from tlda.bench.clusters import Ray

    return Ray(options, cells)


def _slurm(options: Options, cells: int) -> Launcher:
    from tlda.bench.clusters import Slurm

    return Slurm(options, cells)


LAUNCHERS: dict[str, Callable[[Options, int], Launcher]] = {"local": Local, "ray": _ray, "slurm": _slurm}
"""Launchers by name."""


def launcher(name: str, options: Options, cells: int) -> Launcher:
    """Make the launcher of that name for a number of cells."""
    if name not in LAUNCHERS:
        raise UserError(f"there is no launcher '{name}'{near(name, LAUNCHERS)}")
    return LAUNCHERS[name](options, cells)


def run_cells(cells: list[Cell], folder: Path, launcher: Launcher, done: Callable[[Cell, dict[str, Any] | None], None]) -> dict[str, str]:
    """Run ``cells``, calling ``done(cell, result)`` as each ends; returns what failed: the cell's name and its error.

    A cell that another `tlda bench` or a twin runs is waited for, and is run here where no result comes of that.
    """
    failed: dict[str, str] = {}
    running: dict[Future[Outcome], Cell] = {}
    left, elsewhere = list(cells), list[Cell]()
    threads = ThreadPoolExecutor(launcher.slots)
    try:
        while left or running or elsewhere:
            while len(running) < launcher.slots and (ready := _ready(left, [*running.values(), *elsewhere])):
                left.remove(ready)
                running[threads.submit(launcher.run, folder, ready)] = ready
            if not running:
                _wait_for_others(elsewhere, folder)
                left, elsewhere = elsewhere + left, []
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell, outcome = running.pop(future), future.result()
                if outcome is None:
                    elsewhere.append(cell)
                    continue
                if isinstance(outcome, Failed):
                    failed[cell.name] = _record(outcome, folder, cell)
                done(cell, None if isinstance(outcome, Failed) else outcome)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        launcher.close()
    return failed


def _ready(left: list[Cell], unfinished: list[Cell]) -> Cell | None:
    """The first cell of ``left`` that depends on no cell in ``left`` or ``unfinished``; others would only wait."""
    names = {cell.name for cell in (*left, *unfinished)}
    return next((cell for cell in left if not any(first and first.name in names for first in (cell.first, cell.translator))), None)


def _wait_for_others(cells: list[Cell], folder: Path) -> None:
    """Return once no other process runs one of ``cells``."""
    if cells:
        print(f"tlda: waiting for {len(cells)} cells that another task or another `tlda bench` runs", file=sys.stderr)
    for cell in cells:
        with claim(folder, cell, -1):
            pass


def _record(failure: Failed, folder: Path, cell: Cell) -> str:
    """The failure's sentence; its traceback goes into the folder ``failed``, beside the results."""
    path = folder / "failed" / f"{cell.name}.log"
    try:
        path.parent.mkdir(exist_ok=True)
        write_text(path, f"{failure.sentence}\n\n{failure.log}")
    except (OSError, UserError) as error:
        reason = error.__cause__ if isinstance(error, UserError) else error
        return f"{failure.sentence} (and no log could be kept: {getattr(reason, 'strerror', reason)})"
    return f"{failure.sentence} ({path})"
