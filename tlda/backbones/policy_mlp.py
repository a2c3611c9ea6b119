"""The network of a policy for rows of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from tlda.backbones.base import Backbone
from tlda.errors import UserError
from tlda.nn.running import RunningStatistics


class PolicyMLP(Backbone):
    """Layers of hyperbolic tangents over observations (n, ``num_inputs``), which it normalises by all that a policy has seen.

    The weights start orthogonal, as is usual for policies (Andrychowicz et al., ICLR 2021, sec. 3.2).

    Args:
        num_inputs: the numbers of an observation. The error for a wrong number names the right one.
        hidden: the width of each layer.

    Raises:
        UserError: no layer, a width below 1, or observations of another width.
    """

    def __init__(self, num_inputs: int, hidden: Sequence[int] = (64, 64)) -> None:
        if not hidden or min(num_inputs, *hidden) < 1:
            raise UserError(f"PolicyMLP needs layers of at least one unit: num_inputs is {num_inputs}, hidden is {list(hidden)}")
        super().__init__(hidden[-1])
        self.num_inputs, self.observed = num_inputs, RunningStatistics(num_inputs)
        self.layers = nn.Sequential(*(part for pair in pairwise((num_inputs, *hidden)) for part in self._layer(*pair)))

    @staticmethod
    def _layer(before: int, after: int) -> list[nn.Module]:
        linear = nn.Linear(before, after)
        nn.init.orthogonal_(linear.weight, 2**0.5)
        nn.init.zeros_(linear.bias)
        return [linear, nn.Tanh()]

    def features(self, x: Tensor) -> Tensor:
        """Features (n, ``num_features``) of observations (n, ``num_inputs``)."""
        if x.ndim != 2 or x.shape[1] != self.num_inputs:
            wanted = f": set --model.backbone.num_inputs {x.shape[1]}" if x.ndim == 2 else ", in rows: take another backbone"
            raise UserError(f"PolicyMLP takes observations of {self.num_inputs} numbers, these are {tuple(x.shape[1:])}{wanted}")
        features: Tensor = self.layers(self.observed(x))
        return features

    def example(self, size: int | None = None) -> Tensor:
        return self.observed.mean.new_zeros(2, self.num_inputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)
