"""The curve of greedy returns that a policy draws as it learns."""

from __future__ import annotations

from abc import ABC
from itertools import pairwise
from typing import Any

from tlda.methods.base import ManualMethod
from tlda.nn import evaluating
from tlda.training.lightning import data_of

CURVE = "tlda.curve"
"""Where a checkpoint has the greedy returns so far, and the environments' steps."""


class Followed(ManualMethod, ABC):
    """The base of policies whose greedy return on the target is measured before training and after each epoch, and is in checkpoints.

    Attributes:
        steps_seen: the steps of the environments so far, which a subclass counts.
        curve: so many steps, and the return then.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.steps_seen, self.curve = 0, list[tuple[int, float]]()

    def on_train_start(self) -> None:
        super().on_train_start()
        if not self.curve:
            self._measure()

    def on_train_epoch_end(self) -> None:
        """Measure the greedy return on the target."""
        self._measure()

    def _measure(self) -> None:
        data: Any = data_of(self.trainer)
        self.averaging.enter(self.network)
        with evaluating(self), self.trainer.precision_plugin.forward_context():
            self.curve.append((self.steps_seen, float(data.played("target", self).y.mean())))
        self.averaging.leave(self.network)

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()
        found = {f"return_at_{steps}": value for steps, value in self.curve}
        if self.steps_seen:  # the mean height of the curve
            area = sum((b - a) * (before + after) / 2 for (a, before), (b, after) in pairwise(self.curve))
            found["return_area"] = area / self.curve[-1][0]
        self.log_epoch({f"test/target/{name}": value for name, value in found.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint[CURVE] = {"steps": self.steps_seen, "curve": list(self.curve)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        kept = checkpoint.get(CURVE, {"steps": 0, "curve": []})
        self.steps_seen, self.curve = kept["steps"], [(int(steps), float(value)) for steps, value in kept["curve"]]
