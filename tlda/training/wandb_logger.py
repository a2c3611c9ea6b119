"""Lightning's logger to W&B, except that no failure of W&B ends a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from tlda.training.tolerance import going_on

if TYPE_CHECKING:
    from argparse import Namespace

    from wandb.sdk.wandb_run import Run


class Nothing:
    """Whatever is asked of it does nothing."""

    def __getattr__(self, name: str) -> Nothing:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Nothing:
        return self


def tolerant(name: str) -> Callable[..., None]:
    """The logger's method ``name``; where it fails the logger is :class:`Nothing` from then on."""
    method = getattr(WandbLogger, name)

    @functools.wraps(method)
    def call(self: Tracker, *args: Any, **kwargs: Any) -> None:
        """Call the method of the logger, and replace W&B where that fails."""
        done = False
        with going_on():
            method(self, *args, **kwargs)
            done = True
        if not done:
            self._experiment = Nothing()

    return call


class Later:
    """W&B's run, which ``make`` makes when anything of it is used: Lightning asks for it before the first step."""

    def __init__(self, make: Callable[[], Run | Nothing]) -> None:
        self.make = make

    def __getattr__(self, name: str) -> Any:
        return getattr(self.make(), name)


class Tracker(WandbLogger):
    """Logs to W&B until it fails, which is said once. The run begins with its first metrics: to import W&B takes seconds."""

    config: dict[str, Any] | None = None
    """The hyperparameters that the run begins with."""

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


for _name in ("log_metrics", "log_image", "finalize", "after_save_checkpoint"):
    setattr(Tracker, _name, tolerant(_name))
