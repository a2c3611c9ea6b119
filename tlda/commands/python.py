"""The front door for Python: fit, test and predict as the command line does them."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import Logger
from torch import Tensor

from tlda.batch import Sample
from tlda.commands.running import (
    companions,
    folder_of,
    logged,
    no_trainer,
    one_or_more,
    refusals,
    remove_empty,
    run_stamp,
    trainer_defaults,
    whole_files,
)
from tlda.config.build import load, new_inputs, recipe_of
from tlda.config.ranges import require_seed, require_trainer_ranges
from tlda.data.pair import DomainPair
from tlda.data.seeds import run_seed
from tlda.errors import UserError, near, warn
from tlda.method import Method
from tlda.metrics.calibration import calibration_error, temperature
from tlda.metrics.density_ratio import density_ratio
from tlda.tasks import Classification
from tlda.training import checkpoint
from tlda.training.lightning import Unprofiled
from tlda.training.named import find
from tlda.training.predictions import Columns, Predictions
from tlda.training.quiet import hush
from tlda.training.tracking import closed, flat_keys, found_by
from tlda.training.wandb_logger import log_checkpoints
from tlda.writing import require_writable, write_text


def fit(
    method: Method | Callable[[], Method],
    data: DomainPair,
    *,
    max_epochs: int = 10,
    seed: int = 0,
    folder: str | Path = "runs",
    logger: Logger | list[Logger] | bool | None = None,
    ckpt_path: str | Path | None = None,
    wandb_checkpoints: bool = False,
    **trainer: Any,
) -> Path:
    """Train ``method`` on ``data``, as ``tlda fit`` does, and return the run's folder, which :func:`test` and :func:`predict` take.

    Args:
        method: the method, or a function that makes it, such as ``lambda: DANN(backbone=LeNet(), task=10)``. A network draws its initial
            weights when it is made: those that a function makes follow from ``seed``.
        data: the pair of domains.
        max_epochs: the length of the run.
        seed: the seed of all that is drawn.
        folder: where runs are kept, each in a folder of its own.
        logger: as Lightning's; by default CSV in the run's folder, and W&B where it is installed. False for none.
        ckpt_path: a checkpoint, or a run's folder, to go on from.
        wandb_checkpoints: whether its checkpoints are logged to W&B as an artifact.
        trainer: other options of Lightning's Trainer, such as ``accelerator="cpu"``.

    Raises:
        UserError: an option is unknown or out of its range, or the method does not go with the data.
    """
    require_seed(seed)
    _require_options(trainer)
    start = None if ckpt_path is None else find(ckpt_path)
    if isinstance(method, Method) and "PL_GLOBAL_SEED" not in os.environ:
        print("tlda: the initial weights were drawn before the seed was set: give fit a function that makes the method, to repeat the run")
    seed_everything(seed, workers=True, verbose=False)
    made = method if isinstance(method, Method) else method()
    place = folder_of(str(folder), made, data, seed, run_stamp(sys.argv))
    new = [each for each in (place / "checkpoints", place, *place.parents) if not each.exists()]
    require_writable(place, "folder")
    kept: dict[str, Any] = {"logger": logger} if logger not in (None, True) else logged(place, made, data, seed)
    if trainer.get("enable_checkpointing") is not False:
        kept |= whole_files(trainer.get("plugins"))
        own = one_or_more(trainer.get("callbacks"))
        kept["callbacks"] = [*own, *companions(place, own, trainer.get("enable_progress_bar"))]
    try:
        with _run():
            found = _trainer(**{"max_epochs": max_epochs, **trainer, **kept, "default_root_dir": str(place)})
            _keep_recipe(made, data, found, {"max_epochs": max_epochs, **trainer}, seed)
            found.fit(made, data, ckpt_path=start, weights_only=True)
            if wandb_checkpoints:
                log_checkpoints(found)
    except BaseException:
        remove_empty(new)
        raise
    if found.is_global_zero:
        print(f"tlda: the run is in {place}")
    return place


def test(method: Method | str | Path, data: DomainPair, **trainer: Any) -> dict[str, float]:
    """Measure ``method`` on the test rows of ``data``, as ``tlda test`` does: metrics by name, such as ``test/target/accuracy``.

    Args:
        method: the method, a checkpoint's path, or a run's folder.
        data: the pair of domains.
        trainer: options of Lightning's Trainer.
    """
    _require_options(trainer)
    with _run():
        found, options = _trained(method, data)
        rows = _trainer(**{**options, **trainer}).test(found, data, verbose=False)
    return {name: value for row in rows for name, value in row.items()}


def predict(method: Method | str | Path, data: DomainPair | str | Path, *, features: str | Path | None = None, **trainer: Any) -> Columns:
    """Predict the target of ``data``, or new inputs, as ``tlda predict`` does: columns by name, which ``pandas.DataFrame`` takes.

    Args:
        method: the method, a checkpoint's path, or a run's folder.
        data: the pair of domains; or a folder or file of inputs alone, which a checkpoint predicts without its source.
        features: a ``.npy``, ``.npz`` or ``.parquet`` that the features are written to, in the order of the rows.
        trainer: options of Lightning's Trainer.

    Raises:
        UserError: inputs alone are to be predicted by a method in memory, which does not say how its data are read.
    """
    _require_options(trainer)
    written = Predictions(features=features)
    if not isinstance(data, DomainPair):
        if isinstance(method, Method):
            raise UserError(
                "a method in memory does not say how inputs alone are read: predict them by its checkpoint, or the run's folder"
            )
        data = new_inputs(method, data)
    with _run():
        found, options = _trained(method, data)
        own = one_or_more(trainer.get("callbacks"))
        _trainer(**{**options, **trainer, "callbacks": [*own, written]}).predict(found, data, return_predictions=False)
    return written.columns


CLIP = 10.0
"""The most that a row counts in a weighted temperature, of a mean of 1."""


def calibrate(method: Method | str | Path, data: DomainPair, weighted: bool = False, **trainer: Any) -> float:
    """The temperature of ``method`` on the held-out rows of the source of ``data``: softmax(logits / T) is as certain there as it is right.

    It is a number of the source. That it holds on the target is not known, and a warning says so: where the target is another domain, a
    network is mostly too certain there under it.

    Args:
        method: the method, a checkpoint's path, or a run's folder.
        data: the pair of domains.
        weighted: weigh each row by how frequent its features are on the target, over the source, at most :data:`CLIP` times the mean.
        trainer: options of Lightning's Trainer.

    Raises:
        UserError: the task has no one class per row, or no error on the held-out rows.
    """
    _require_options(trainer)
    if type(data.task) is not Classification:
        raise UserError(f"a temperature is of one class per row, and the task is {type(data.task).__name__}: leave calibrate out")
    seen = HeldOut()
    with _run():
        found, options = _trained(method, data)
        own = one_or_more(trainer.get("callbacks"))
        _trainer(**{**options, **trainer, "callbacks": [*own, seen]}).validate(found, data, verbose=False)
    source, target = ([torch.cat(part) for part in zip(*found, strict=True)] for found in seen.found)
    features, logits, labels = source
    weights = (ratios := density_ratio(features, target[0])).clamp_max(CLIP * float(ratios.mean())) if weighted else None
    best = temperature(logits, labels, weights)
    before, after = (calibration_error(logits[labels >= 0] / t, labels[labels >= 0]) for t in (1.0, best))
    warn(
        f"the temperature {best:.3g} is of {len(labels)} held-out rows of the source (calibration error {before:.3f}, {after:.3f} with "
        "it): it may not hold on the target"
    )
    return best


class HeldOut(Callback):
    """Collects the features, logits and labels of the held-out rows of both domains while a trainer validates."""

    def __init__(self) -> None:
        self.found: tuple[list[tuple[Tensor, Tensor, Tensor]], ...] = ([], [])

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: Sample, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        method: Any = pl_module
        if dataloader_idx > 1:
            return
        features, logits = method.answer(batch.x, ("source", "target")[dataloader_idx])
        self.found[dataloader_idx].append((features.flatten(1).float().cpu(), logits.float().cpu(), batch.y.cpu()))


def _keep_recipe(method: Method, data: DomainPair, trainer: Trainer, options: dict[str, Any], seed: int) -> None:
    """Give ``method`` its recipe, and write the configuration into the run's folder and to the loggers, as far as plain data say it."""
    named = {"precision": trainer.precision, **options}
    plain = {name: value for name, value in named.items() if value is None or isinstance(value, (bool, int, float, str))}
    method.recipe = method.recipe or recipe_of(method, data, plain)
    if not {"model", "data"} <= method.recipe.keys() or not trainer.is_global_zero:
        return
    config = {"seed_everything": seed, "trainer": plain, **{part: method.recipe[part] for part in ("model", "data")}}
    write_text(Path(trainer.default_root_dir) / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    for logger in trainer.loggers:
        logger.log_hyperparams(flat_keys(config, **found_by(method, data.transfer)))


@contextmanager
def _run() -> Iterator[None]:
    hush()
    with closed(), refusals():
        yield


def _trained(method: Method | str | Path, data: DomainPair) -> tuple[Method, dict[str, Any]]:
    """The method, and the trainer's options that measure it as it was trained; the seed is then that of its run."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    if isinstance(method, Method):
        seed_everything(run_seed(), workers=True, verbose=False)
        return method, quiet
    found = checkpoint.recipe(method)
    seed_everything(found.get("seed", 0), workers=True, verbose=False)
    loaded = load(method)
    data.task.refuse(loaded.task)
    kept = found.get("trainer", {})
    return loaded, quiet | {name: kept[name] for name in ("precision",) if name in kept}


def _require_options(options: dict[str, Any]) -> None:
    """Raise :class:`UserError` where one of ``options`` is not the trainer's, or is out of its range."""
    known = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    for name in options:
        if name not in known:
            raise UserError(f"the trainer has no option '{name}'{near(name, known)}")
    require_trainer_ranges(options)


def _trainer(**options: Any) -> Trainer:
    require_trainer_ranges(options)
    with no_trainer():
        return Trainer(**{**trainer_defaults(), "profiler": Unprofiled(), **options})
