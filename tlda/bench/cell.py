"""One cell, in a worker: train, test, and write the result file."""

from __future__ import annotations

import gc
import os
import platform
import threading
import time
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tlda.batch import read_by
from tlda.bench.table import Cell, merge
from tlda.errors import UserError, near

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from tlda.data.pair import DomainPair
    from tlda.method import Method


def start_worker(threads: int, parent: int, share: float = 1.0) -> None:
    """Prepare a long-lived worker, which ends when the process that started it is gone.

    It may take that ``share`` of the memory of its GPU.
    """
    prepare(threads)
    if share < 1.0:
        import torch

        torch.cuda.set_per_process_memory_fraction(share)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def prepare(threads: int) -> None:
    """Set few threads and no output, in a process that runs cells."""
    import torch

    from tlda.training.quiet import silence

    torch.set_num_threads(threads)
    silence()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class Failed(NamedTuple):
    """The failure of a cell: one sentence, the traceback, and whether the memory of its GPU ran out."""

    sentence: str
    log: str
    wants_memory: bool = False


def try_cell(folder: Path, cell: Cell, wandb_group: str | None = None) -> dict[str, Any] | Failed | None:
    """Run ``cell`` unless it is finished, or return None where another process runs it; errors are returned as text."""
    from filelock import Timeout

    from tlda.bench.results import claim, read_result

    try:
        with claim(folder, cell, 0):
            return read_result(folder, cell) or run_cell(folder, cell, wandb_group)
    except Timeout:
        return None
    except UserError as error:
        return Failed(str(error), traceback.format_exc())
    except Exception as error:
        sentence = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Failed(sentence, traceback.format_exc(), type(error).__name__ == "OutOfMemoryError")
    finally:
        gc.collect()  # a network, its trainer and its data refer to each other, and the collector sees a few objects, not their size
        _free_gpu()


def _free_gpu() -> None:
    """Give the GPU's memory that this process keeps for its next cell back, for workers beside it."""
    import torch

    if torch.cuda.memory_reserved():
        torch.cuda.empty_cache()


class Trained(NamedTuple):
    """A trained cell: its parts, the metrics after each epoch, and the seconds of training."""

    method: Method
    data: DomainPair
    trainer: Trainer
    history: list[dict[str, float | None]]
    seconds: float


def run_cell(folder: Path, cell: Cell, wandb_group: str | None = None) -> dict[str, Any]:
    """Run ``cell`` and write its result into ``folder``: the test metrics after the last epoch, without any selection."""
    from tlda.bench.results import twin, write_result
    from tlda.training.tracking import closed

    if found := twin(folder, cell):
        _require_measured(cell, found["metrics"])
        write_result(folder, cell, found)
        return found
    with closed():
        trained = train(folder, cell, _tracked(folder / "logs" / cell.name, cell, wandb_group), wandb_group)
        rows = trained.trainer.test(trained.method, trained.data, verbose=False)
    metrics = {name: value for row in rows for name, value in row.items()}
    _require_measured(cell, metrics)
    result = _result(cell, trained, metrics)
    write_result(folder, cell, result)
    return result


def _require_measured(cell: Cell, metrics: dict[str, float]) -> None:
    """Raise :class:`UserError` where ``metrics`` lack the metric that the table shows of ``cell``."""
    if not any(name.startswith("test/target/") for name in metrics):
        raise UserError(f"the target of task '{cell.task}' has no labels to measure with: a table needs some")
    if cell.metric not in metrics:
        raise UserError(f"nothing measures the table's metric '{cell.metric}' of task '{cell.task}'{near(cell.metric, metrics)}")


def train(folder: Path, cell: Cell, tracked: dict[str, Any], table: str | None = None) -> Trained:
    """Train ``cell`` after the cells that it depends on, and write a checkpoint for those that depend on it.

    ``tracked`` has the trainer's options that log it, in which a run says of which ``table`` it is.
    """
    from pytorch_lightning import seed_everything

    from tlda.bench.history import History
    from tlda.config.build import build
    from tlda.training.tracking import flat_keys, found_by

    config = merge(cell.config, *_first_stages(folder, cell))
    seed_everything(cell.seed, verbose=False)
    history = History()
    method, data, trainer = build(
        config,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **{**tracked, "callbacks": [*tracked.get("callbacks", []), history]},
    )
    for logger in trainer.loggers:
        logged = {**method.recipe, "trainer": cell.config.get("trainer", {}), "seed_everything": cell.seed}
        logger.log_hyperparams(flat_keys(logged, **found_by(method, cell.task), table=table, method=cell.method, cell=cell.key))
    start = time.perf_counter()
    trainer.fit(method, data)
    seconds = time.perf_counter() - start
    if cell.leads:
        path = cell.checkpoint(folder)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        trainer.save_checkpoint(partial, weights_only=True)
        partial.replace(path)
    return Trained(method, data, trainer, history.epochs, seconds)


def _first_stages(folder: Path, cell: Cell) -> Iterator[dict[str, Any]]:
    """The options by which ``cell`` starts from the checkpoint, and trains on the translation, of the cells that it depends on."""
    if cell.first:
        yield {"model": {"init_args": {"init_from": str(_checkpoint(folder, cell.first))}}}
    if cell.translator:
        yield {"data": {"init_args": {"translated": {"folder": str(_translation(folder, cell.translator))}}}}


def _checkpoint(folder: Path, cell: Cell) -> Path:
    """The checkpoint of ``cell``; where there is none, the cell is trained."""
    from tlda.bench.results import claim

    path = cell.checkpoint(folder)
    with claim(folder, cell, -1):
        if not path.exists():
            train(folder, cell, {"logger": False})
    return path


def _translation(folder: Path, cell: Cell) -> Path:
    """The source translated by ``cell``; where the translation is missing or incomplete, it is done."""
    from tlda.bench.results import claim
    from tlda.config.build import translate_checkpoint
    from tlda.data.translated import MANIFEST

    checkpoint, path = _checkpoint(folder, cell), cell.translation(folder)
    with claim(folder, cell, -1):
        if not (path / MANIFEST).is_file():
            translate_checkpoint(checkpoint, path, {})
    return path


def _result(cell: Cell, trained: Trained, metrics: dict[str, float]) -> dict[str, Any]:
    import torch

    from tlda.bench.machine import this_machine

    method, data, trainer, history, seconds = trained
    batch: Any = read_by(method)
    gpu = torch.cuda.get_device_name() if trainer.strategy.root_device.type == "cuda" else None
    if cell.first:
        method.recipe["model"]["init_args"]["init_from"] = cell.first.name
    if cell.translator:
        method.recipe["data"]["init_args"]["translated"]["folder"] = cell.translator.name
    return {
        "key": cell.key,
        "method": cell.method,
        "task": cell.task,
        "seed": cell.seed,
        "sees": list(batch._fields),
        "metric": cell.metric,
        "metrics": metrics,
        "history": history,
        "confusion": method.measures.matrix(),
        **({"stream": method.passed.curve()} if data.stream else {}),
        "data": data.fingerprint(),
        "config": {**method.recipe, "trainer": cell.config.get("trainer", {})},
        "epochs": trainer.current_epoch,
        "seconds": round(seconds, 2),
        "device": gpu or platform.machine(),
        "machine": this_machine(gpu),
        "versions": {name: version(name) for name in ("torch", "pytorch-lightning", "tlda")},
    }


def _tracked(folder: Path, cell: Cell, group: str | None) -> dict[str, Any]:
    """The trainer's options that log a cell into ``folder`` and to W&B, or nowhere without a ``group``."""
    if group is None:
        return {"logger": False}
    from tlda.report.pictures import Pictures
    from tlda.training.tracking import loggers

    folder.mkdir(parents=True, exist_ok=True)
    return {"logger": loggers(folder, group, [cell.method, cell.task], cell.seed, "cell"), "callbacks": [Pictures(folder)]}
