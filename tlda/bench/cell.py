"""One cell, in a worker: train, test, and write the result file."""

from __future__ import annotations

import os
import platform
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tlda.bench.table import Cell


def start_worker(threads: int, parent: int) -> None:
    """Set a long-lived worker up: few threads, no chatter, and an end when the process that started it is gone."""
    import torch

    from tlda.quiet import silence

    torch.set_num_threads(threads)
    silence()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def run_cell(folder: Path, cell: Cell, wandb_group: str | None = None) -> dict[str, Any]:
    """Run ``cell`` and write its result into ``folder``: the target's accuracy after the last epoch, nothing selected."""
    from pytorch_lightning import seed_everything

    from tlda.bench.results import write_result
    from tlda.build import build

    seed_everything(cell.seed, verbose=False)
    method, data, trainer = build(
        cell.config,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        logger=_logger(folder, cell, wandb_group),
        num_sanity_val_steps=0,
    )
    start = time.perf_counter()
    trainer.fit(method, data)
    seconds = time.perf_counter() - start
    metrics = {name: value for rows in trainer.test(method, data, verbose=False) for name, value in rows.items()}
    result = _result(cell, method, data, trainer, metrics, seconds)
    write_result(folder, cell, result)
    _close_wandb(wandb_group)
    return result


def _result(cell: Cell, method: Any, data: Any, trainer: Any, metrics: dict[str, float], seconds: float) -> dict[str, Any]:
    import torch

    return {
        "key": cell.key,
        "method": cell.method,
        "task": cell.task,
        "seed": cell.seed,
        "sees": list(method.batch_type._fields),
        "metrics": metrics,
        "confusion": method.confusion.compute().tolist(),
        "data": data.fingerprint(),
        "config": {**method.recipe, "trainer": cell.config.get("trainer", {})},
        "epochs": trainer.current_epoch,
        "seconds": round(seconds, 2),
        "device": torch.cuda.get_device_name() if trainer.strategy.root_device.type == "cuda" else platform.machine(),
        "versions": {name: version(name) for name in ("torch", "pytorch-lightning", "tlda")},
    }


def _logger(folder: Path, cell: Cell, group: str | None) -> Any:
    if group is None:
        return False
    from tlda.tracking import loggers

    return loggers(folder / "logs" / cell.name, group, [cell.method, cell.task])


def _close_wandb(group: str | None) -> None:
    if group is not None:
        import wandb

        wandb.finish()
