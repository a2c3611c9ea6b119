"""Test-time entropy minimisation."""

from typing import Any, ClassVar

import torch
from torch import Tensor, optim

from tlda.batch import Output
from tlda.errors import UserError
from tlda.losses import entropy
from tlda.methods.at_test import AtTest
from tlda.network import Network
from tlda.nn import affine_parameters, use_batch_statistics
from tlda.optim import Adam
from tlda.training.target import require_normalisation


class TENT(AtTest):
    """Trained on the source; at test time scales and shifts follow the entropy of the target's batches (Wang et al., ICLR 2021, sec. 3).

    A batch is normalised by itself (so ``data.eval_batch_size`` matters), and answered before its step. Each test and process starts over.

    Args:
        steps: the steps that a batch causes.
        tent_lr: their learning rate, by Adam.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, *, steps: int = 1, tent_lr: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if steps < 1:
            raise UserError(f"--model.steps is {steps}: it must be at least 1")
        require_normalisation(self, affine_parameters(self.network), "normalisation")
        self.steps, self.tent_lr, self.own_statistics = steps, tent_lr, True

    def begin(self) -> tuple[Network, optim.Optimizer, dict[str, Any]]:
        """A copy of the network whose BatchNorm uses each batch's statistics, the optimizer of its scales and shifts, and a memory."""
        copied = use_batch_statistics(self.network.copied())
        affine = [parameter.requires_grad_() for parameter in affine_parameters(copied)]
        return copied, Adam(self.tent_lr)([{"name": "affine", "params": affine, "lr_multiplier": 1.0}]), {}

    def adapt(self, x: Tensor) -> Output:
        for _ in range(self.steps):
            network, optimizer, _ = self.adapted
            output: Output = network(x)
            optimizer.zero_grad()
            self.step(x, output)
        return output

    def step(self, x: Tensor, output: Output) -> None:
        """One step on the ``output`` of a batch, after the optimizer's gradients are cleared."""
        torch.autograd.backward(self.loss(output.logits))
        self.adapted[1].step()

    def loss(self, logits: Tensor) -> Tensor:
        """What a step on the logits (n, c) of a batch minimises."""
        return entropy(logits)
