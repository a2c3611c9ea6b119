"""BatchNorm by a blend of the source's statistics and the batch's."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlda.batch import Output
from tlda.methods.at_test import AtTest
from tlda.network import Network
from tlda.nn import batch_norms
from tlda.training.target import require_normalisation


class BNAlpha(AtTest):
    r"""BatchNorm normalises a batch of the target by a blend of its statistics and the source's (Schneider et al., NeurIPS 2020, sec. 3).

    .. math:: \mu = \alpha \mu_t + (1 - \alpha) \mu_s, \quad \sigma^2 = \alpha \sigma_t^2 + (1 - \alpha) \sigma_s^2

    Args:
        alpha: the weight of the batch's statistics; 1 for the batch alone (Nado et al., 2020).
    """

    follows: ClassVar[bool] = False
    """Whether a batch is blended with what the batches before it came to, and not with the source."""

    def __init__(self, *, alpha: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require_normalisation(self, batch_norms(self.network), "BatchNorm")
        self.alpha, self.own_statistics = alpha, True

    def begin(self) -> tuple[Network]:
        copied = self.network.copied()
        for layer in batch_norms(copied):
            layer.register_forward_pre_hook(blend(layer.running_mean, layer.running_var, self.alpha, self.follows))
        return (copied,)

    @torch.no_grad()
    def adapt(self, x: Tensor) -> Output:
        output: Output = self.adapted[0](x)
        return output


def blend(mean: Tensor | None, var: Tensor | None, alpha: float, follows: bool) -> Callable[[nn.Module, tuple[Tensor]], None]:
    """The hook of a BatchNorm layer that makes its statistics a blend of ``mean`` and ``var``, or its own, and the batch's."""
    assert mean is not None
    assert var is not None
    source = mean.clone(), var.clone()

    def change(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        others = [axis for axis in range(inputs[0].ndim) if axis != 1]
        batch = inputs[0].float().mean(others), inputs[0].float().var(others)
        own: Any = layer.running_mean, layer.running_var
        for mine, first, new in zip(own, source, batch, strict=True):
            mine.copy_((mine if follows else first).lerp(new, alpha))

    return change
