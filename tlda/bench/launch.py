"""Run cells in long-lived local workers that survive a crash of one of them."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from tlda.bench.cell import run_cell, start_worker
from tlda.bench.table import Cell

ATTEMPTS = 2
"""How often a cell is tried whose worker died, as one does that runs out of memory."""


def default_workers() -> int:
    """One worker a GPU, or one a core where there is none."""
    import torch

    return torch.cuda.device_count() or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_cells(
    cells: list[Cell],
    folder: Path,
    workers: int,
    done: Callable[[Cell, dict[str, Any] | None], None],
    wandb_group: str | None = None,
) -> dict[str, str]:
    """Run ``cells``, calling ``done(cell, result)`` as each ends; returns what failed: the cell's name and its error."""
    waiting, failed = list(reversed(cells)), dict[str, str]()
    running: dict[Future[dict[str, Any]], Cell] = {}
    attempts: dict[str, int] = {}
    pool = _pool(workers)
    while waiting or running:
        while waiting and len(running) < workers:
            cell = waiting.pop()
            attempts[cell.name] = attempts.get(cell.name, 0) + 1
            running[pool.submit(run_cell, folder, cell, wandb_group)] = cell
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        broken = False
        for future in finished:
            cell = running.pop(future)
            error = future.exception()
            if isinstance(error, BrokenProcessPool) and attempts[cell.name] < ATTEMPTS:
                waiting.append(cell)
            elif error is not None:
                failed[cell.name] = _explain(error, folder, cell)
            broken |= isinstance(error, BrokenProcessPool)
            if error is None or cell.name in failed:
                done(cell, None if error else future.result())
        if broken:
            waiting += [running.pop(future) for future in list(running)]
            pool = _pool(workers)
    return failed


def _pool(workers: int) -> Any:
    from loky import get_reusable_executor

    return get_reusable_executor(
        max_workers=workers, timeout=None, initializer=start_worker, initargs=(1, os.getpid()), kill_workers=True, reuse=False
    )


def _explain(error: BaseException, folder: Path, cell: Cell) -> str:
    """The error's sentence; its traceback goes into the folder ``failed``, beside the results."""
    from tlda.errors import UserError

    if isinstance(error, UserError):
        return str(error)
    path = folder / "failed" / f"{cell.name}.log"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    if isinstance(error, BrokenProcessPool):
        return f"its worker died {ATTEMPTS} times, perhaps for want of memory: use fewer --workers ({path})"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''} ({path})"
