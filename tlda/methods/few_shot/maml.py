"""A start from which a few steps on the examples are enough."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from tlda.batch import Episode, Output
from tlda.errors import UserError
from tlda.methods.few_shot.base import Episodic
from tlda.nn import by_batch_statistics, inner_steps


class MAML(Episodic):
    r"""The start is trained for the queries' loss after steps on the examples, through those steps (Finn et al., ICML 2017).

    .. math:: \min_\theta \sum_e L_e^{\mathrm{query}}\left(\theta - \alpha \nabla L_e^{\mathrm{examples}}(\theta)\right)

    BatchNorm normalises examples and queries by the statistics of the examples, in training and where it is measured; where the data
    are transductive, the queries by their own, as the paper's code does.

    Args:
        inner_lr: the learning rate of the steps on the examples.
        steps: how many of them in training.
        test_steps: how many where it is measured; as many where none is given.
        second_order: whether the gradient goes through that of the steps; without, it is first-order MAML.
    """

    inner = ""
    """The beginning of the names of the parameters that the steps on the examples change: all."""

    def __init__(
        self, *, inner_lr: float = 0.4, steps: int = 1, test_steps: int | None = None, second_order: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if steps < 1 or (test_steps is not None and test_steps < 1) or not inner_lr > 0:
            raise UserError("the steps on the examples are at least 1, and --model.inner_lr is above 0")
        self.inner_lr, self.steps, self.test_steps, self.second_order = inner_lr, steps, test_steps or steps, second_order

    def answered(self, episode: Episode) -> Output:
        # Where a trainer measures, gradients are off, and inputs can have none.
        with torch.inference_mode(False), torch.enable_grad():
            x, y, s = (part.clone() if part.is_inference() else part for part in (episode.x, episode.y, episode.support))
            weights = self.adapted(x[s], y[s])
            return self.call(weights, x[~s], None if self.few.transductive else x[s])

    def adapted(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The weights by name after the steps on examples ``x`` of classes ``y``."""
        start = {name: value for name, value in self.network.named_parameters() if value.requires_grad and name.startswith(self.inner)}
        steps, second = (self.steps, self.second_order) if self.training else (self.test_steps, False)
        return inner_steps(lambda weights: self.task_loss(self.call(weights, x).logits, y), start, self.inner_lr, steps, second)

    def call(self, weights: dict[str, Tensor], x: Tensor, examples: Tensor | None = None) -> Output:
        """The output for ``x``, normalised by its own statistics, or by those of ``examples``."""
        with by_batch_statistics(self.network, None if examples is None else len(examples)):
            together = x if examples is None else torch.cat((examples, x))
            features, logits = functional_call(self.network, weights, (together,))
        return Output(features[-len(x) :], logits[-len(x) :])
