"""Launchers that hand cells to a cluster: Ray, and SLURM through submitit. The results' folder must be one that all nodes see."""

from __future__ import annotations

import importlib
import signal
from pathlib import Path
from typing import Any

from tlda.bench.cell import Failed, prepare, try_cell
from tlda.bench.launching import ATTEMPTS, Options, Outcome, overdue
from tlda.bench.table import Cell
from tlda.errors import lacking


def _needs(package: str, extra: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise lacking(f"--launcher {extra}", package, extra) from error


class Ray:
    """Run cells as tasks of a Ray cluster: a running one (``RAY_ADDRESS``), or a new one here. Ray retries a cell whose worker died.

    While it runs, Ray's handler of SIGTERM ends its processes. :meth:`close` puts back the one that was there before.
    """

    def __init__(self, options: Options, cells: int) -> None:
        self.ray, self.options, self.before = _needs("ray", "ray"), options, signal.getsignal(signal.SIGTERM)
        if not self.ray.is_initialized():
            self.ray.init(log_to_driver=False, include_dashboard=False)
        self.slots = min(cells, options.workers or self._fit())
        resources = {"num_cpus": options.num_cpus, "num_gpus": options.num_gpus, "max_retries": ATTEMPTS - 1}
        self.task = self.ray.remote(**resources)(_on_node)

    def _fit(self) -> int:
        """How many cells fit into the cluster at a time. More would wait, and their waiting would count as running time."""
        held, asked = self.ray.cluster_resources(), {"CPU": self.options.num_cpus, "GPU": self.options.num_gpus}
        return max(1, min(int(held.get(kind, 1) // wanted) for kind, wanted in asked.items() if wanted))

    def run(self, folder: Path, cell: Cell) -> Outcome:
        """Run ``cell`` as a task of Ray; a task that takes too long is cancelled, and a lost worker is a failure."""
        reference = self.task.remote(folder.resolve(), cell, self.options.wandb_group)
        try:
            outcome: Outcome = self.ray.get(reference, timeout=self.options.timeout)
            return outcome
        except self.ray.exceptions.GetTimeoutError:
            self.ray.cancel(reference, force=True)
            return overdue(self.options)
        except self.ray.exceptions.RayError as error:
            return Failed(f"its worker died {ATTEMPTS} times: {type(error).__name__}", str(error))

    def close(self) -> None:
        self.ray.shutdown()
        if signal.getsignal(signal.SIGTERM) is not self.before:  # Ray leaves its own, which ends whatever this process does next
            signal.signal(signal.SIGTERM, self.before)


def _on_node(folder: Path, cell: Cell, wandb_group: str | None) -> Outcome:
    prepare(1)
    return try_cell(folder, cell, wandb_group)


class Slurm:
    """Run each cell as a job of its own, through submitit; the logs are in the folder ``slurm`` beside the results."""

    def __init__(self, options: Options, cells: int) -> None:
        self.submitit, self.options, self.slots = _needs("submitit", "slurm"), options, min(cells, options.workers or 1000)
        self.jobs: list[Any] = []

    def run(self, folder: Path, cell: Cell) -> Outcome:
        """Run ``cell`` as a job of SLURM, which has a limit of time: a day where none is given."""
        executor = self.submitit.AutoExecutor(folder=folder.resolve() / "slurm")
        minutes = max(1, -(-int(self.options.timeout or 86_400) // 60))
        executor.update_parameters(
            timeout_min=minutes, cpus_per_task=self.options.num_cpus, gpus_per_node=int(self.options.num_gpus), name=f"tlda-{cell.name}"
        )
        job = executor.submit(_on_node, folder.resolve(), cell, self.options.wandb_group)
        self.jobs.append(job)
        try:
            outcome: Outcome = job.result()
            return outcome
        except Exception as error:
            return Failed(f"its job {job.job_id} ended without a result: {' '.join(str(error).split())[:200]}", str(error))

    def close(self) -> None:
        for job in self.jobs:
            if not job.done():
                job.cancel()
