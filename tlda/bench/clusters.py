"""Launchers that hand cells to a cluster: Ray, and SLURM through submitit. The results' folder must be one that all nodes see."""

from __future__ import annotations

import importlib
import inspect
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import yaml

from tlda.bench.cell import Failed, prepare, try_cell
from tlda.bench.launching import ATTEMPTS, Options, Outcome, overdue
from tlda.bench.table import Cell
from tlda.config.overlays import read_yaml
from tlda.errors import UserError, lacking, near
from tlda.writing import write_text


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


GATHER = 0.5
"""The seconds in which cells are gathered that become one array of jobs."""

ALIVE = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUED", "RESIZING", "SUSPENDED")
"""The states in which a job of SLURM still comes to an end of its own."""


class Slurm:
    """Run each cell as a job of its own, through submitit; the logs are in the folder ``slurm`` beside the results.

    Cells that are ready together are one array of jobs. The jobs go on when this process ends, and write their results themselves; the
    number of each is kept in ``slurm/jobs``, by which the same command finds it again.
    """

    def __init__(self, options: Options, cells: int) -> None:
        self.submitit, self.options, self.slots = _needs("submitit", "slurm"), options, min(cells, options.workers or 1000)
        if shutil.which("sbatch") is None:
            raise UserError("--launcher slurm needs sbatch, which is not here: run it where jobs are submitted, or with --launcher local")
        self.gate = threading.Lock()
        self.waiting: list[tuple[Cell, Future[Any]]] = []
        self.jobs: list[Any] = []

    def run(self, folder: Path, cell: Cell) -> Outcome:
        """Run ``cell`` as a job of SLURM, which has a limit of time (a day where none is given), or wait for the one that was submitted."""
        folder = folder.resolve()
        try:
            job = self._found(folder, cell) or self._submitted(folder, cell)
        except Exception as error:  # of many kinds: whatever submitit and sbatch say
            return Failed(f"its job could not be submitted: {' '.join(str(error).split())[:300]}", traceback.format_exc())
        try:
            outcome: Outcome = job.result()
            return outcome
        except Exception as error:
            return Failed(f"its job {job.job_id} ended without a result: {' '.join(str(error).split())[:200]}", str(error))
        finally:
            _record(folder, cell).unlink(missing_ok=True)

    def _found(self, folder: Path, cell: Cell) -> Any:
        """The job of ``cell`` that an earlier command submitted, where SLURM still has it."""
        try:
            number = _record(folder, cell).read_text(encoding="utf-8").strip()
        except OSError:
            return None
        job = self.submitit.SlurmJob(folder / "slurm", number)
        if job.state.split(" ")[0].rstrip("+") not in ALIVE:
            return None
        print(f"tlda: {cell.name} is the job {number} already, which is waited for", file=sys.stderr)
        return self._kept(job)

    def _submitted(self, folder: Path, cell: Cell) -> Any:
        """The job of ``cell``; the first of those that ask within :data:`GATHER` seconds submits them all."""
        mine: Future[Any] = Future()
        with self.gate:
            self.waiting.append((cell, mine))
            first = len(self.waiting) == 1
        if first:
            time.sleep(GATHER)
            with self.gate:
                together, self.waiting = self.waiting, []
            try:
                for (one, future), job in zip(together, self._submit(folder, [each for each, _ in together]), strict=True):
                    write_text(_record(folder, one), f"{job.job_id}\n")
                    future.set_result(self._kept(job))
            except Exception as error:
                for _, future in together:
                    if not future.done():
                        future.set_exception(error)
        return mine.result()

    def _submit(self, folder: Path, cells: list[Cell]) -> list[Any]:
        """The jobs of ``cells``, an array where they are several."""
        executor = self.submitit.AutoExecutor(folder=folder / "slurm", cluster="slurm")
        executor.update_parameters(**parameters(self.options, cells[0].name if len(cells) == 1 else folder.name))
        if len(cells) == 1:
            return [executor.submit(_on_node, folder, cells[0], self.options.wandb_group)]
        with executor.batch():
            return [executor.submit(_on_node, folder, cell, self.options.wandb_group) for cell in cells]

    def _kept(self, job: Any) -> Any:
        self.jobs.append(job)
        return job

    def close(self) -> None:
        """Leave the jobs that still run to SLURM, and say so."""
        if left := [str(job.job_id) for job in self.jobs if not job.done()]:
            numbers = " ".join(left[:5]) + " …" * (len(left) > 5)
            print(f"tlda: {len(left)} jobs go on; the same command finds them again, and `scancel {numbers}` ends them", file=sys.stderr)


SHARED = {"name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node", "stderr_to_stdout"}
"""The parameters that submitit has for every kind of cluster; those of SLURM alone begin with ``slurm_``."""


def parameters(options: Options, name: str) -> dict[str, object]:
    """submitit's parameters of a job called ``name``: what ``options`` ask of every cluster, and over that what they say to SLURM."""
    minutes = max(1, -(-int(options.timeout or 86_400) // 60))
    asked = {"timeout_min": minutes, "cpus_per_task": options.num_cpus, "gpus_per_node": int(options.num_gpus), "name": f"tlda-{name}"}
    return asked | {key if key in SHARED or key.startswith("slurm_") else f"slurm_{key}": value for key, value in options.slurm.items()}


def slurm_options(given: Sequence[str]) -> dict[str, object]:
    """What the command line says to SLURM: each of ``given`` is ``NAME=VALUE``, or a YAML file of such; a later one wins.

    Raises:
        UserError: one that is neither; a parameter that submitit does not have, with the near name.
    """
    found: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        read = {name.strip(): yaml.safe_load(value)} if equals else read_yaml(Path(each))
        if not isinstance(read, dict):
            raise UserError(f"--slurm is '{each}': it is NAME=VALUE, such as partition=gpu, or a YAML file of names and values")
        found |= {str(key): value for key, value in read.items()}
    if found:
        slurm = (
            inspect.signature(importlib.import_module("submitit.slurm.slurm")._make_sbatch_string).parameters
            if _needs("submitit", "slurm")
            else {}
        )
        known = SHARED | set(slurm) - {"command", "folder", "job_name", "map_count"}
        for name in found:
            if name.removeprefix("slurm_") not in known:
                raise UserError(f"submitit has no parameter '{name}'{near(name, known)}; flags of sbatch go into additional_parameters")
    return found


def _record(folder: Path, cell: Cell) -> Path:
    """The file that holds the number of the job of ``cell``."""
    path = folder / "slurm" / "jobs" / f"{cell.name}-{cell.key}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
