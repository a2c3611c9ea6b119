"""A dry run: what a table needs, found out by two steps of each of its methods on the real shapes."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, seed_everything

from tlda.batch import read_by
from tlda.bench.cell import prepare
from tlda.bench.machine import affordable, kind, this_machine
from tlda.bench.table import Cell, Table, merge
from tlda.config.build import build
from tlda.config.protocol import digest
from tlda.data.cache import size_limit
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain, Subset
from tlda.documents.grid import Document, Grid
from tlda.errors import UserError

STEPS = 2
"""The training steps of each method that are timed, after one that is not; the faster one counts."""

SHORT: dict[str, Any] = {
    "max_epochs": 1,
    "max_steps": -1,
    "limit_train_batches": 1 + STEPS,
    "limit_val_batches": 1,
    "limit_test_batches": 1,
    "num_sanity_val_steps": 0,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}
"""The trainer of a dry run, over the table's."""


class Sizes(NamedTuple):
    """The counts of a task: images (or other rows) of either domain, training steps, and rows evaluated in a whole run."""

    rows: tuple[int, int]
    steps: int
    evaluated: int
    held: int
    """The bytes of the decoded images that the cache holds; 0 where each batch is decoded."""


class Cost(NamedTuple):
    """What a method needs: parameters, bytes of memory, and the seconds of a step, of reading its batch, and of evaluating a row."""

    parameters: int
    memory: int
    step: float
    read: float
    row: float

    def seconds(self, sizes: Sizes, workers: int) -> float:
        """The estimated seconds of a cell: its steps, what they wait for images, and the evaluations."""
        waits = 0.0 if sizes.held else max(0.0, self.read / max(1, workers) - self.step)
        return sizes.steps * (self.step + waits) + sizes.evaluated * self.row


@dataclass
class Dry:
    """A dry run of a table under way: sizes by task, costs by method, and a sentence for each thing that is missing."""

    table: Table
    sizes: dict[str, Sizes] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)
    workers: int = 0
    missing: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    without_weights: set[str] = field(default_factory=set)

    def tell(self, sentence: str) -> None:
        """Add a ``sentence`` to what is missing, once."""
        if sentence not in self.missing:
            self.missing.append(sentence)


class _Timed(Callback):
    """The seconds of training steps, and of reading their batches."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.reads: list[float] = []
        self._since = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        self.reads.append(_now() - self._since)
        self._since = _now()

    def on_train_batch_end(self, *_: Any) -> None:
        self.steps.append(_now() - self._since)
        self._since = _now()


def dry_run(table: Table, cells: list[Cell], say: Callable[[str], object] = str) -> tuple[Document, list[str]]:
    """Check the data and the weights of ``cells``, run two steps of each method, and estimate what the whole table needs.

    Args:
        table: the table.
        cells: its cells.
        say: is told, before each part, what is looked at: on a busy machine a method may take a minute.

    Returns:
        the tables to show, and a sentence for each thing that is missing.
    """
    prepare(torch.get_num_threads())
    dry = Dry(table)
    for task in dict.fromkeys(cell.task for cell in cells):
        say(f"the data of {task}")
        _sizes(dry, task, next(cell for cell in cells if cell.task == task))
    with TemporaryDirectory() as folder:
        for cell in _one_of_each(cells, dry.sizes):
            say(f"two steps of {cell.method}")
            _measure(dry, cell, Path(folder))
    return _document(dry, cells), dry.missing


def _one_of_each(cells: list[Cell], tasks: Mapping[str, Sizes]) -> Iterator[Cell]:
    """The first cell of each method on a task whose data are there."""
    methods = set[str]()
    for cell in cells:
        if cell.task in tasks and cell.method not in methods:
            methods.add(cell.method)
            yield cell


def _sizes(dry: Dry, task: str, cell: Cell) -> None:
    """Look for the data of ``task``, which are counted and not read."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            method, data, trainer = _made(dry, cell, {})
            data.trainer = trainer
            trainer.strategy.connect(method)
            source, target = data.loaded
        except UserError as error:
            dry.tell(f"{task}: {error}")
            return
    for warning in told:
        if "published" in str(warning.message):
            dry.tell(str(warning.message))
    epochs = trainer.max_epochs or 1
    fields = getattr(read_by(method), "_fields", ("source",))
    first = source.train if fields[0] == "source" else target.train
    steps = epochs * (data.steps or max(1, len(first) // data.batch_size))
    validated = len(source.test) if source.test is not None else int(data.holdout * len(source.train))
    measured = len(target.test) if target.test is not None else len(target.train)
    rows = sum(len(rows) for domain in (source, target) for rows in domain.splits), len(target.train)
    held = sum(_bytes(rows) for domain in (source, target) for rows in domain.splits if hasattr(rows, "decode"))
    dry.workers = data.num_workers
    validations = 0 if trainer.limit_val_batches == 0 else epochs
    dry.sizes[task] = Sizes((len(source.train), rows[1]), steps, (validations + 1) * (validated + measured), held)


def _bytes(rows: Any) -> int:
    """The bytes of all ``rows``, by the first of them."""
    whole = rows.read(rows.paths[0])
    return int(len(rows) * whole.numel() * whole.element_size())


def _made(dry: Dry, cell: Cell, changes: dict[str, Any], **trainer: Any) -> Any:
    """The method, data and trainer of ``cell``; with random weights where its own cannot be had, which is told."""
    config = merge(cell.config, changes)
    backbone = cell.resolved["model"]["init_args"].get("backbone") or {}
    random = merge(config, {"model": {"init_args": {"backbone": {"init_args": {"weights": None}}}}})
    network = digest(backbone)
    if network in dry.without_weights:
        config = random
    seed_everything(cell.seed, verbose=False)
    try:
        return build(config, **trainer)
    except UserError as error:
        if config is random or not (backbone.get("init_args") or {}).get("weights"):
            raise
        made = build(random, **trainer)
        dry.without_weights.add(network)
        dry.tell(f"{error} (this dry run goes on with random weights)")
        return made


def _measure(dry: Dry, cell: Cell, folder: Path) -> None:
    """Run two steps of ``cell``, and one batch of each evaluation."""
    leader = {"model": {"init_args": {"init_from": str(folder / f"{cell.first.method}.ckpt")}}} if cell.first else {}
    timed = _Timed()
    _reset_memory()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            method, data, trainer = _made(dry, cell, leader, **SHORT, **affordable(cell), callbacks=[timed])
            shorten(data)
            trainer.fit(method, data)
            if cell.leads:
                trainer.save_checkpoint(folder / f"{cell.method}.ckpt", weights_only=True)
            began = _now()
            trainer.test(method, data, verbose=False)
            seconds = _now() - began
    except UserError as error:
        dry.tell(f"{cell.method}: {error}")
        return
    rows = sum(min(data.eval_batch_size, len(rows)) for rows in data.evaluation_rows)
    parameters = sum(parameter.numel() for parameter in method.parameters())
    dry.costs[cell.method] = Cost(
        parameters, _memory(), min(timed.steps[1:], default=0.0), min(timed.reads[1:], default=0.0), seconds / rows
    )


def shorten(data: DomainPair) -> None:
    """Leave some rows of each domain of ``data``; one label of each class is seen where any are, since so few rows may have no more.

    A list of labelled rows is read, which tells what is wrong with it, and then left out: its rows may be among those that are not kept.
    """
    seen = data.shots or data.labelled_rows
    source, target = (_few(domain, data) for domain in data.loaded)
    data.loaded, data.shots, data.labelled, data.labelled_rows = (source, target), 1 if seen else None, None, None


def _few(domain: Domain, data: DomainPair) -> Domain:
    """Some rows of ``domain`` from its whole length, enough for two batches and to hold some out; a method may go through all of them."""
    most = 2 * max(data.batch_size, len(data.task.outputs))
    return domain.map(lambda rows: Subset(rows, torch.linspace(0, len(rows) - 1, min(most, len(rows))).long()))


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _reset_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _memory() -> int:
    """The most bytes of the GPU that were in use since the reset; without one, of this process since it began."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows counts otherwise
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _document(dry: Dry, cells: list[Cell]) -> Document:
    """The tables of what was measured, with the estimate for all ``cells``."""
    table, gpu = dry.table, torch.cuda.get_device_name() if torch.cuda.is_available() else None
    known = [cell for cell in cells if cell.method in dry.costs and cell.task in dry.sizes]
    hours = [(cell.method, dry.costs[cell.method].seconds(dry.sizes[cell.task], dry.workers) / 3600) for cell in known]
    total = sum(hour for _, hour in hours)
    memory = "memory, GB" if gpu else "memory of this process so far, GB"
    header = ["method", "parameters, M", memory, "a step, s", "reading its batch, s", "evaluating 1,000 rows, s", "cells", "hours"]
    rows = [_row(dry, method, [hour for name, hour in hours if name == method]) for method in dry.costs]
    held = sum({sizes.rows: sizes.held for sizes in dry.sizes.values()}.values())
    leads = sum(4 * dry.costs[cell.method].parameters for cell in cells if cell.leads and cell.method in dry.costs)
    sizes = [[table.label(task), *(f"{n:,}" for n in (*found.rows, found.steps, found.evaluated))] for task, found in dry.sizes.items()]
    return [
        f"Dry run of {table.title}",
        f"{len(cells)} cells were built. {STEPS} steps of each method ran on {kind(this_machine(gpu))}, with {torch.get_num_threads()} "
        f"threads{', in float32, for it does not compute in bfloat16' if any(map(affordable, cells)) else ''}.",
        Grid(["task", "rows of the source", "rows of the target", "steps of a cell", "rows evaluated by a cell"], sizes, name="sizes"),
        Grid(header, rows, name="costs"),
        f"Estimate: {total:.2f} hours, one cell at a time on this machine, for {len(known)} of {len(cells)} cells; at most "
        f"{held / 1e9:.1f} GB of disk for decoded images (the cache takes {size_limit() / 1e9:.0f} GB, TLDA_CACHE_LIMIT) and "
        f"{leads / 1e9:.1f} GB for checkpoints.",
    ]


def _row(dry: Dry, method: str, hours: list[float]) -> list[str]:
    cost = dry.costs[method]
    shown = [f"{cost.parameters / 1e6:.1f}", f"{cost.memory / 1e9:.1f}", f"{cost.step:.3f}", f"{cost.read:.3f}", f"{1000 * cost.row:.2f}"]
    return [dry.table.label(method), *shown, str(len(hours)), f"{sum(hours):.2f}"]
