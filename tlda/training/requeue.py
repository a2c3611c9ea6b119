"""A cluster's signal to save and make room is obeyed between two batches: within one, half a step would be saved."""

from __future__ import annotations

import signal
from typing import Any

from pytorch_lightning import Callback, Trainer

from tlda.training.lightning import callbacks_of, requeue_signal


class BetweenBatches(Callback):
    """Runs the handler of ``number``, a signal, after the batch in which it arrives; in all processes after the same one."""

    def __init__(self, number: int) -> None:
        self.number, self.handler, self.arrived = number, signal.getsignal(number), False
        signal.signal(number, self._note)

    def _note(self, *_: Any) -> None:
        self.arrived = True

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.strategy.reduce_boolean_decision(self.arrived, all=False):
            self.arrived = False
            assert callable(self.handler)
            self.handler(self.number, None)


def obey_between_batches(trainer: Trainer) -> None:
    """Let ``trainer``, where SLURM starts its job anew, save only whole steps."""
    number = requeue_signal(trainer)
    if number is not None and callable(signal.getsignal(number)):
        callbacks_of(trainer).append(BetweenBatches(number))
