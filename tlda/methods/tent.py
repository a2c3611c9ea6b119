"""Test-time entropy minimisation."""

from typing import Any, ClassVar

import torch
from torch import Tensor, optim

from tlda.batch import Output
from tlda.errors import UserError
from tlda.losses import entropy
from tlda.method import Method
from tlda.network import Network
from tlda.nn import affine_parameters, use_batch_statistics
from tlda.optim import Adam
from tlda.training.target import require_normalisation, start_over


class TENT(Method):
    """Trained on the source; at test time scales and shifts follow the entropy of the target's batches (Wang et al., ICLR 2021, sec. 3).

    A batch is normalised by itself (so ``data.eval_batch_size`` matters), and answered before its step. Each test and process starts over.

    Args:
        steps: the steps that a batch causes.
        tent_lr: their learning rate, by Adam.
    """

    setting: ClassVar[str] = "test-time"
    reads_classes, trains_on_certainty = True, True
    on_test_start = on_test_end = on_predict_start = on_predict_end = start_over

    def __init__(self, *, steps: int = 1, tent_lr: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if steps < 1:
            raise UserError(f"--model.steps is {steps}: it must be at least 1")
        require_normalisation(self, affine_parameters(self.network), "normalisation")
        self.steps, self.tent_lr = steps, tent_lr
        self.adapted: tuple[Network, optim.Optimizer] | None = None

    def answer(self, x: Tensor, domain: str) -> Output:
        """The output for a batch; one of the target is followed by ``steps`` optimizer steps on its entropy."""
        if domain == "source" or self.is_fitting:
            return super().answer(x, domain)
        if len(x) < 2:
            raise UserError("TENT normalises a batch by its own statistics, and one image has none: raise --data.eval_batch_size")
        with torch.inference_mode(False), torch.enable_grad():
            adapted, optimizer = self.adapted = self.adapted or self.adaptable()
            x = x.clone()  # one that inference mode did not make
            for _ in range(self.steps):
                output = adapted(x)
                optimizer.zero_grad()
                torch.autograd.backward(entropy(output.logits))
                optimizer.step()
        return Output(*(part.detach() for part in output))

    def adaptable(self) -> tuple[Network, optim.Optimizer]:
        """A copy of the network whose BatchNorm uses each batch's statistics, and the optimizer of its scales and shifts."""
        copied = use_batch_statistics(self.network.copied())
        affine = [parameter.requires_grad_() for parameter in affine_parameters(copied)]
        return copied, Adam(self.tent_lr)([{"name": "affine", "params": affine, "lr_multiplier": 1.0}])
