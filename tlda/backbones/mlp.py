"""A network for rows of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tlda.backbones.base import Backbone
from tlda.errors import UserError


class MLP(Backbone):
    """Fully connected layers over rows of numbers, (n, ``num_inputs``), which are standardised already, as ``Tabular`` gives them.

    Each layer is linear, then BatchNorm where it is asked for, ReLU and dropout. Its features are those of the last layer.

    Args:
        num_inputs: the number of columns of a row. The error for a wrong number names the right one.
        hidden: the width of each layer, the first at the input.
        dropout: the probability with which a unit of a hidden layer is zero in training.
        batch_norm: normalise after each linear layer.

    Raises:
        UserError: no layer, a width below 1, a dropout outside of 0 to 1, or rows of another width.
    """

    def __init__(self, num_inputs: int, hidden: Sequence[int] = (64, 64), dropout: float = 0.0, batch_norm: bool = False) -> None:
        if not hidden or min(num_inputs, *hidden) < 1:
            raise UserError(f"MLP needs layers of at least one unit: num_inputs is {num_inputs}, hidden is {list(hidden)}")
        if not 0.0 <= dropout < 1.0:
            raise UserError(f"--model.backbone.dropout is {dropout}: it is a probability, at least 0 and below 1")
        super().__init__(hidden[-1])
        self.num_inputs = num_inputs
        widths = zip((num_inputs, *hidden), hidden, strict=False)
        self.layers = nn.Sequential(*(part for before, after in widths for part in self._layer(before, after, dropout, batch_norm)))

    @staticmethod
    def _layer(before: int, after: int, dropout: float, batch_norm: bool) -> list[nn.Module]:
        normalise: list[nn.Module] = [nn.BatchNorm1d(after)] if batch_norm else []
        return [nn.Linear(before, after), *normalise, nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]

    def features(self, x: Tensor) -> Tensor:
        """Features (n, ``num_features``) of rows of numbers (n, ``num_inputs``)."""
        if x.ndim != 2 or not x.is_floating_point():
            raise UserError(f"MLP takes rows of numbers (n, d), these are {tuple(x.shape)}: use --data Tabular, or another backbone")
        if x.shape[1] != self.num_inputs:
            raise UserError(
                f"MLP takes {self.num_inputs} columns, the rows have {x.shape[1]}: set --model.backbone.num_inputs {x.shape[1]}"
            )
        features: Tensor = self.layers(x)
        return features

    def example(self, size: int | None = None) -> Tensor:
        return torch.zeros(2, self.num_inputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)
