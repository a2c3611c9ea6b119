"""What every run has, from the command line and from Python: precision, folder, loggers, checkpoints and pictures."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.plugins import CheckpointIO

from tlda.data.pair import DomainPair
from tlda.errors import UserError
from tlda.method import Method
from tlda.nn import computes_in_bfloat16
from tlda.report.pictures import Pictures
from tlda.training.last import LastCheckpoint, WholeFiles
from tlda.training.lightning import Progress
from tlda.training.tracking import loggers


def default_precision() -> str:
    """``bf16-mixed`` where the hardware computes in bfloat16, else ``32-true``."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return "bf16-mixed" if computes_in_bfloat16(device) else "32-true"


def trainer_defaults() -> dict[str, Any]:
    """The trainer's options that are not as Lightning has them."""
    return {
        "precision": default_precision(),
        "enable_model_summary": False,
        "use_distributed_sampler": False,  # Steps and Once shard by themselves
        "max_epochs": 10,
    }


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Say in one sentence what the trainer refuses within the block."""
    try:
        yield
    except MisconfigurationException as error:
        raise UserError(f"the trainer refuses: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def no_trainer() -> Iterator[None]:
    """Say in one sentence why the block, which makes a trainer, makes none."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # Lightning checks its options by whatever fails
        raise UserError(f"the --trainer options make no trainer: {' '.join(str(error).split())}") from error


def logged(folder: Path, method: Method, data: DomainPair, seed: object, job_type: str = "fit") -> dict[str, Any]:
    """The trainer's option that logs a run into its ``folder``, and to W&B where that is installed."""
    return {"logger": loggers(folder, data.transfer, [type(method).__name__, data.transfer], seed, job_type)}


def companions(folder: Path, callbacks: object, progress_bar: bool | None) -> list[Callback]:
    """The callbacks of a fit in ``folder`` beside the user's own ``callbacks``: last checkpoint, pictures, and a bar if none is there."""
    own_bar = progress_bar is False or any(isinstance(callback, ProgressBar) for callback in one_or_more(callbacks))
    return [LastCheckpoint(folder), Pictures(folder), *([] if own_bar else [Progress()])]


def whole_files(plugins: object) -> dict[str, Any]:
    """The trainer's option by which no checkpoint is ever half written, unless one of the user's ``plugins`` writes them."""
    given = one_or_more(plugins)
    return {} if any(isinstance(plugin, CheckpointIO) for plugin in given) else {"plugins": [*given, WholeFiles()]}


def one_or_more(value: object) -> list[Any]:
    """An option that takes one thing or a list of them, as a list."""
    return [] if value is None else [*value] if isinstance(value, (list, tuple)) else [value]


def run_stamp(command: list[str]) -> str:
    """What the processes of one run share, and no other run has: a time, or the id of the job that started them."""
    env = os.environ
    unlike = hashlib.blake2b("\0".join(command).encode(), digest_size=3).hexdigest()  # a job may run several commands
    if run := env.get("TORCHELASTIC_RUN_ID"):
        nodes = int(env.get("GROUP_WORLD_SIZE", 1))
        if nodes > 1 and run == "none":
            raise UserError("processes on several machines have no name in common for their run's folder: give torchrun an --rdzv-id")
        return f"{run}-{unlike}" if nodes > 1 else f"{run}-{os.getppid()}-{unlike}"
    if (job := env.get("SLURM_JOB_ID")) and (int(env.get("SLURM_NTASKS", 1)) > 1 or ("SLURM_NTASKS" not in env and "SLURM_PROCID" in env)):
        return f"{job}.{env.get('SLURM_STEP_ID', 0)}-{unlike}"
    if "LOCAL_RANK" not in env:
        # The processes that Lightning starts beside this one inherit it, and so write into the same folder.
        env["TLDA_RUN"] = f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    return env.get("TLDA_RUN") or f"{datetime.now():%Y%m%d-%H%M}"


def folder_of(root: str | None, method: Method, data: DomainPair, seed: object, stamp: str) -> Path:
    """The folder of a run, ``ROOT/TASK/METHOD/SEED-STAMP``, where ROOT is ``runs`` by default."""
    return Path(root or "runs") / data.transfer / type(method).__name__ / f"{seed}-{stamp}"


def remove_empty(folders: list[Path]) -> None:
    """Remove those of ``folders`` that are empty, the innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
