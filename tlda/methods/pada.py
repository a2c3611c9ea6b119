"""Partial adversarial domain adaptation."""

from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from tlda.batch import Output, Pair
from tlda.losses import PartialAdversarial, pada_weights
from tlda.method import Method
from tlda.nn import evaluating
from tlda.training.target import target_batches


class PADA(Method):
    """DANN in which classes that the target seems to lack weigh less, in the task's loss and in the adversary's (Cao et al., ECCV 2018).

    The weights are of the mean prediction on all of the target, anew each epoch after the first. Target rows weigh alike, as in the paper;
    the authors' code weighs them by their predictions too.

    Args:
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
        discriminator_norm: whether BatchNorm follows each of them, as in the common library.
    """

    setting: ClassVar[str] = "partial"
    reads_classes: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, hidden: int = 1024, discriminator_norm: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_loss("domain", self.adversary(trade_off, hidden, discriminator_norm))

    def adversary(self, trade_off: float, hidden: int, batch_norm: bool | None) -> PartialAdversarial:
        """The loss of the domain discriminator."""
        return PartialAdversarial(trade_off, hidden, batch_norm=batch_norm)

    @property
    def class_weights(self) -> Tensor:
        """The weight of each class, (c,)."""
        return cast(PartialAdversarial, self.losses["domain"]).class_weights

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch:
            with evaluating(self.network), self.trainer.precision_plugin.forward_context():
                logits = torch.cat([self(batch.x).logits.float() for batch in target_batches(self)])
            weights: Tensor = self.trainer.strategy.broadcast(pada_weights(logits.softmax(1)))
            self.class_weights.copy_(weights)

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        weights = self.class_weights[batch.source.y]
        losses = weights * self.task.risk(source.logits, batch.source.y)
        return {"task": losses.sum() / weights.sum(), **self.added(batch, source, target)}
