"""Mixed styles of the source domains' feature maps."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from tlda.batch import Takes
from tlda.errors import UserError
from tlda.method import Method
from tlda.nn import mixed_statistics


class Mixer:
    """A hook that mixes the statistics of what a layer makes of a training batch, with a ``probability``; see :class:`MixStyle`."""

    def __init__(self, probability: float, alpha: float) -> None:
        self.probability, self.alpha = probability, alpha

    def __call__(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if not layer.training:
            return None
        if output.ndim != 4:
            raise UserError(
                f"MixStyle mixes maps (n, c, h, w), and a block that it follows gives {tuple(output.shape)}: set --model.blocks"
            )
        if float(torch.rand(())) >= self.probability:
            return None
        weights = Beta(self.alpha, self.alpha).sample((len(output),)).to(output)
        return mixed_statistics(output, torch.randperm(len(output)).to(output.device), weights)


class MixStyle(Method):
    """Each row's feature maps have their means and deviations mixed with those of another row's (Zhou et al., ICLR 2021), in training.

    Args:
        probability: that of a batch to be mixed.
        alpha: the parameter of the beta distribution of the weights.
        blocks: the numbers of the backbone's blocks that are followed, from 0; by default the second and third, which are a ResNet's first
            two stages, as the authors have them, and the first of a backbone of fewer than four.

    Raises:
        UserError: a block is not there, or its output has no maps.
    """

    setting: ClassVar[str] = "generalisation"
    takes: ClassVar[Takes] = "images"

    def __init__(self, *, probability: float = 0.5, alpha: float = 0.1, blocks: Sequence[int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= probability <= 1 or alpha <= 0:
            raise UserError(f"--model.probability is {probability} and --model.alpha {alpha}: the one is 0 to 1, the other above 0")
        there = self.backbone.blocks()
        for number in ((1, 2) if len(there) > 3 else (0,)) if blocks is None else blocks:
            if not 0 <= number < len(there):
                raise UserError(f"--model.blocks has {number}, and {type(self.backbone).__name__} has the blocks 0 to {len(there) - 1}")
            last = list(there[number].children())[-1] if isinstance(there[number], nn.ModuleList) else there[number]
            last.register_forward_hook(Mixer(probability, alpha))
