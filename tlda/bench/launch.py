"""Run cells: in long-lived local workers that survive a crash of one of them, on a Ray cluster, or through SLURM."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
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
    """The names of the GPUs that this process may use."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[: torch.cuda.device_count()] if visible else [str(i) for i in range(torch.cuda.device_count())]


def default_workers() -> int:
    """One worker per GPU, or one per core where there is no GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return len(gpus()) or cores or 1


class Worker:
    """A process that runs one cell after another, on a GPU of its own where there are enough, and that is replaced when it dies."""

    def __init__(self, number: int) -> None:
        found = gpus()
        self.env = {"CUDA_VISIBLE_DEVICES": found[number % len(found)]} if found else {}
        self.start()

    def start(self) -> None:
        """Start a process in a pool of its own, so that it is known which cell ended it."""
        from loky import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(1, timeout=None, initializer=start_worker, initargs=(1, os.getpid()), env=self.env)

    def stop(self) -> None:
        """End the process."""
        self.pool.shutdown(wait=False, kill_workers=True)


class Local:
    """Workers on this machine."""

    def __init__(self, options: Options, cells: int) -> None:
        self.slots = min(options.workers or default_workers(), cells)
        self.options, self.closed = options, False
        self.workers = [Worker(i) for i in range(self.slots)]
        self.idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self.workers:
            self.idle.put(worker)

    def run(self, folder: Path, cell: Cell) -> Outcome:
        """Run ``cell`` in the next idle process, and in a new one where that process dies."""
        worker = self.idle.get()
        try:
            for _ in range(ATTEMPTS):
                try:
                    outcome: Outcome = worker.pool.submit(try_cell, folder, cell, self.options.wandb_group).result(self.options.timeout)
                    return outcome
                except TimeoutError:
                    worker.stop()
                    worker.start()
                    return overdue(self.options)
                except BrokenProcessPool:
                    if self.closed:
                        break
                    worker.start()
            return Failed(f"its worker died {ATTEMPTS} times, perhaps for want of memory: use fewer --workers", "")
        finally:
            self.idle.put(worker)

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
