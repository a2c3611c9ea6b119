"""Measure what a training step of each row of the digits table costs, relative to source only, on one thread.

TLDA_DATA=… python benchmarks/methods/cost.py                     # every row; cost.json
TLDA_DATA=… python benchmarks/methods/cost.py --only dann,mcd     # some rows; the others keep their figures
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from tqdm import tqdm

from tlda.bench.table import Table, load_table, merge
from tlda.config.build import build
from tlda.training.quiet import silence

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "tables/digits.yaml"
TASK = "usps_mnist"
WARMUP, STEPS = 5, 25


class Watch(Callback):
    """Processor seconds from the start of each step to the start of the next, so that all of a step is in it."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self.starts.append(time.process_time())

    @property
    def median(self) -> float:
        """The median step, in seconds."""
        return median(end - start for start, end in zip(self.starts[WARMUP:-1], self.starts[WARMUP + 1 :], strict=True))


def step(table: Table, method: str) -> float:
    """Seconds of a step of the row ``method``."""
    seed_everything(0, verbose=False)
    short: dict[str, Any] = {"trainer": {"max_epochs": 1, "limit_val_batches": 0}, "data": {"init_args": {"steps": WARMUP + STEPS + 1}}}
    watch = Watch()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    if method in table.after:
        short["model"] = {"init_args": {"init_from": str(first_stage(table, method))}}
    model, data, trainer = build(merge(table.config(method, TASK), short), **quiet, callbacks=[watch])
    trainer.fit(model, data)
    return watch.median


def first_stage(table: Table, method: str) -> Path:
    """An untrained checkpoint of the row that ``method`` comes after: what a step costs does not depend on it."""
    path = HERE / f"{table.after[method]}.ckpt"
    if not path.exists():
        model, _, trainer = build(table.config(table.after[method], TASK), logger=False)
        trainer.strategy.connect(model)
        trainer.save_checkpoint(path, weights_only=True)
    return path


def measure(table: Table, method: str, rounds: int) -> dict[str, float]:
    """The median over ``rounds`` of the ratio to source only, which takes turns with ``method``."""
    pairs = [(step(table, table.baseline), step(table, method)) for _ in range(rounds)]
    return {"ratio": round(median(own / base for base, own in pairs), 2), "milliseconds": round(1e3 * median(own for _, own in pairs), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="rows of the table, comma-separated")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs a row")
    options = parser.parse_args()
    silence()
    torch.set_num_threads(1)
    table, path = load_table(TABLE), HERE / "cost.json"
    costs = json.loads(path.read_text()) if path.exists() else {}
    for method in tqdm(table.narrowed(options.only, None, None).methods):
        costs[method] = measure(table, method, options.rounds)
        path.write_text(json.dumps({name: costs[name] for name in table.methods if name in costs}, indent=1) + "\n")
    for checkpoint in HERE.glob("*.ckpt"):
        checkpoint.unlink()


if __name__ == "__main__":
    main()
