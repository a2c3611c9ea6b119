"""Lightning's logger to W&B, except that no failure of W&B ends a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytorch_lightning.loggers import WandbLogger

from tlda.training.tolerance import going_on

if TYPE_CHECKING:
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


class Tracker(WandbLogger):
    """Logs to W&B until it fails, which is said once."""

    @property
    def experiment(self) -> Run | Nothing:
        """W&B's run, made when it is first asked for."""
        with going_on():
            return super().experiment
        self._experiment = Nothing()
        return self._experiment


for _name in ("log_metrics", "log_hyperparams", "log_image", "finalize", "after_save_checkpoint"):
    setattr(Tracker, _name, tolerant(_name))
