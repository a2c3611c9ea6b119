"""Run cells in long-lived local workers that survive a crash of one of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tlda.bench.cell import Failed, start_worker, try_cell
from tlda.bench.table import Cell

ATTEMPTS = 2
"""How often a cell is tried whose worker died, as one does that runs out of memory."""


def gpus() -> list[str]:
    """The names of the GPUs that this process may use."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[: torch.cuda.device_count()] if visible else [str(i) for i in range(torch.cuda.device_count())]


def default_workers() -> int:
    """One worker a GPU, or one a core where there is none."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return len(gpus()) or cores or 1


class Worker:
    """A process that runs one cell after another, on a GPU of its own where there are enough, and that is replaced when it dies."""

    def __init__(self, number: int) -> None:
        found = gpus()
        self.env = {"CUDA_VISIBLE_DEVICES": found[number % len(found)]} if found else {}
        self.start()

    def start(self) -> None:
        """Start a process; one a pool, so that a death tells which cell caused it."""
        from loky import ProcessPoolExecutor

        self.pool = ProcessPoolExecutor(1, timeout=None, initializer=start_worker, initargs=(1, os.getpid()), env=self.env)

    def stop(self) -> None:
        """End the process."""
        self.pool.shutdown(wait=False, kill_workers=True)


def run_cells(
    cells: list[Cell],
    folder: Path,
    workers: int,
    done: Callable[[Cell, dict[str, Any] | None], None],
    wandb_group: str | None = None,
) -> dict[str, str]:
    """Run ``cells``, calling ``done(cell, result)`` as each ends; returns what failed: the cell's name and its error."""
    waiting = [(cell, 1) for cell in reversed(cells)]
    idle = [Worker(i) for i in range(min(workers, len(cells)))]
    running: dict[Future[dict[str, Any] | Failed], tuple[Cell, int, Worker]] = {}
    failed: dict[str, str] = {}
    try:
        while waiting or running:
            while waiting and idle:
                (cell, attempt), worker = waiting.pop(), idle.pop()
                running[worker.pool.submit(try_cell, folder, cell, wandb_group)] = (cell, attempt, worker)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                cell, attempt, worker = running.pop(future)
                idle.append(worker)
                outcome = _outcome(future)
                if outcome is None:
                    worker.start()
                    if attempt < ATTEMPTS:
                        waiting.append((cell, attempt + 1))
                        continue
                    outcome = Failed(f"its worker died {ATTEMPTS} times, perhaps for want of memory: use fewer --workers", "")
                if isinstance(outcome, Failed):
                    failed[cell.name] = _record(outcome, folder, cell)
                done(cell, None if isinstance(outcome, Failed) else outcome)
    finally:
        for worker in idle + [worker for _, _, worker in running.values()]:
            worker.stop()
    return failed


def _outcome(future: Future[dict[str, Any] | Failed]) -> dict[str, Any] | Failed | None:
    """What a cell came to, or None where its worker died."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def _record(failure: Failed, folder: Path, cell: Cell) -> str:
    """The failure's sentence; its traceback goes into the folder ``failed``, beside the results."""
    path = folder / "failed" / f"{cell.name}.log"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{failure.sentence}\n\n{failure.log}", encoding="utf-8")
    return f"{failure.sentence} ({path})"
