"""Smooth domain-adversarial training."""

from typing import Any

import torch
from torch import Tensor, nn

from tlda.batch import Pair
from tlda.losses import ConditionalAdversarial
from tlda.methods.base import ManualMethod
from tlda.nn import without_statistics
from tlda.optim import ascended


class SDAT(ManualMethod):
    """CDAN+E at a smooth minimum of the task loss, by sharpness-aware steps on that loss alone (Rangwani et al., ICML 2022).

    As in the authors' code, the weights of the network (not the discriminator's) are moved up the gradient of the task loss, the
    gradients of task and domain loss are both taken there, and the step is made from where the weights were. As they do not,
    BatchNorm counts a batch once, at the weights themselves, and both gradients share their dropout.

    Args:
        rho: the length of the move up, in the L2 norm of all weights together; 0.02 in most of the authors' runs.
        trade_off: the coefficient of the reversed gradient at full ramp.
        hidden: the width of the domain discriminator's hidden layers.
        entropy: weigh certain examples more, as in CDAN+E; the commands that the authors published do not.
    """

    def __init__(self, *, rho: float = 0.02, trade_off: float = 1.0, hidden: int = 500, entropy: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rho = rho
        self.add_loss("domain", ConditionalAdversarial(trade_off, hidden, entropy=entropy))

    def step_batch(self, batch: Pair) -> None:
        """Step by the gradients at the weights moved up the task loss, from the weights themselves."""
        optimizer: Any = self.optimizers()
        weights = [w for w in self.network.parameters() if w.requires_grad]
        with ascended(weights, self.task_gradients(batch, weights), self.rho):
            with without_statistics(self):
                outputs = self.forward_pair(batch)
            self.step(self.objective(batch, *outputs))
        optimizer.step()

    def task_gradients(self, batch: Pair, weights: list[nn.Parameter]) -> tuple[Tensor, ...]:
        """The gradients of the source's cross-entropy; random numbers drawn for it are drawn again."""
        with torch.random.fork_rng([self.device] if self.on_gpu else []):
            source, _ = self.forward_pair(batch)
        return torch.autograd.grad(self.task_loss(source.logits, batch.source.y), weights, materialize_grads=True)
