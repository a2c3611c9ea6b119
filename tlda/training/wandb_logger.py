"""Lightning's logger to W&B, except that no failure of W&B ends a run, and that each metric has its axis and its summary."""

from __future__ import annotations

import functools
import os
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from tlda.training.tolerance import going_on

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

KEY = "tlda.wandb"
"""Where a checkpoint has the id of its run at W&B."""


class Nothing:
    """Whatever is asked of it does nothing."""

    def __getattr__(self, name: str) -> Nothing:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Nothing:
        return self


class Later:
    """W&B's run, which ``make`` makes when anything of it is used: Lightning asks for it before the first step."""

    def __init__(self, make: Callable[[], Run | Nothing]) -> None:
        self.make = make

    def __getattr__(self, name: str) -> Any:
        return getattr(self.make(), name)


def tolerant(method: Callable[..., None]) -> Callable[..., None]:
    """The ``method`` of a logger, called by the first process; where it fails the logger is :class:`Nothing` from then on."""

    @functools.wraps(method)
    @rank_zero_only
    def call(self: Tracker, *args: object, **kwargs: object) -> None:
        """Call the method of the logger, and replace W&B where that fails."""
        done = False
        with going_on():
            method(self, *args, **kwargs)
            done = True
        if not done:
            self._experiment = Nothing()

    return call


class Tracker(WandbLogger):
    """Logs to W&B until it fails, which is said once. The run begins with its first metrics: to import W&B takes seconds.

    Curves of training have the step as their axis, those of validation and test the epoch. A metric of validation has in its summary
    the last value and the best one, ``NAME.last`` beside ``NAME.max`` or ``NAME.min``; one of the test has its value.
    """

    config: dict[str, Any] | None = None
    """The hyperparameters that the run begins with."""

    directions: Mapping[str, bool] = {}
    """By the name of a metric, whether higher is better."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.defined: set[str] = set()

    @property
    def experiment(self) -> Run | Nothing | Later:
        """W&B's run, made when something of it is used."""
        return self._experiment or Later(self._begin)

    def _begin(self) -> Run | Nothing:
        with going_on():
            import wandb

            wandb.setup()  # only now is it silent; what follows would print a warning about Lightning
            made: Run = super().experiment
            if self.config is not None:
                super().log_hyperparams(self.config)
            return made
        self._experiment = Nothing()
        return self._experiment

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Keep ``params`` for the run's configuration until it begins."""
        self.config = {**(self.config or {}), **(params if isinstance(params, dict) else vars(params))}
        if self._experiment is not None:
            with going_on():
                super().log_hyperparams(self.config)

    @tolerant
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log ``metrics``, and say of each new one what its axis and its summary are."""
        for name in metrics:
            if name not in self.defined and name.startswith(("val/", "oracle/", "test/")):
                self.experiment.define_metric(name, step_metric="epoch", summary=self._summary(name))
                self.defined.add(name)
        super().log_metrics(dict(metrics), step)

    def _summary(self, name: str) -> str | None:
        if name.startswith("test/"):
            return None
        return {True: "last,max", False: "last,min", None: "last,min,max"}[self.directions.get(name)]

    @tolerant
    def log_checkpoints(self, files: Iterable[Path]) -> None:
        """Log ``files`` as one artifact of the type ``model``, of which each further one is a version."""
        import wandb

        run: Any = self.experiment
        artifact = wandb.Artifact(f"checkpoints-{run.id}", type="model")
        for file in files:
            artifact.add_file(str(file))
        run.log_artifact(artifact)

    @property
    def run_id(self) -> str | None:
        """The id of the run at W&B; None before it has begun, and where W&B failed."""
        return self.version if isinstance(self.version, str) else None

    def go_on(self, run_id: str | None) -> None:
        """Continue the run ``run_id``, unless the environment names another or this one has begun."""
        if run_id and self._experiment is None and not os.environ.get("WANDB_RUN_ID"):
            self._id = self._wandb_init["id"] = run_id

    log_image = tolerant(WandbLogger.log_image)
    log_text = tolerant(WandbLogger.log_text)
    finalize = tolerant(WandbLogger.finalize)
    after_save_checkpoint = tolerant(WandbLogger.after_save_checkpoint)


def trackers(loggers: Iterable[Logger]) -> list[Tracker]:
    """Those of ``loggers`` that log to W&B as this project does."""
    return [logger for logger in loggers if isinstance(logger, Tracker)]


def keep_run(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Write into ``checkpoint`` which run at W&B it is of."""
    for tracker in trackers(trainer.loggers):
        if tracker.run_id:
            checkpoint[KEY] = tracker.run_id


def go_on_with(trainer: Trainer, checkpoint: dict[str, Any]) -> None:
    """Let a run that goes on from ``checkpoint`` continue at W&B the one that it is of."""
    for tracker in trackers(trainer.loggers):
        tracker.go_on(checkpoint.get(KEY))


def log_checkpoints(trainer: Trainer) -> None:
    """Log the checkpoints in the folder of the run of ``trainer`` to W&B, where it logs there."""
    files = sorted(Path(trainer.default_root_dir, "checkpoints").glob("*.ckpt"))
    for tracker in trackers(trainer.loggers):
        tracker.log_checkpoints(files)
