"""Domain discriminators and what they see, and the pair of classifiers that MCD trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def critic(num_inputs: int, hidden: int = 1024, dropout: float = 0.0, batch_norm: bool = False) -> nn.Sequential:
    """A domain critic with two hidden layers: (n, ``num_inputs``) to (n, 1), the logit of "this is source".

    With ``batch_norm``, each is linear, BatchNorm, ReLU, as in the discriminators of the common library.
    """
    layers: list[nn.Module] = []
    for width in (num_inputs, hidden):
        layers += [nn.Linear(width, hidden), *([nn.BatchNorm1d(hidden)] if batch_norm else [])]
        layers += [nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(hidden, 1))


class MultilinearMap(nn.Module):
    """Features x predictions, flattened (Long et al., NeurIPS 2018, eq. 5), or a random projection of it (eq. 6).

    Inputs (n, d) and (n, c); the output is (n, d * c), or (n, ``max_features``) where d * c is larger than that.
    """

    project_features: Tensor
    project_classes: Tensor

    def __init__(self, num_features: int, num_classes: int, max_features: int = 4096) -> None:
        super().__init__()
        self.randomized = num_features * num_classes > max_features
        self.num_features = max_features if self.randomized else num_features * num_classes
        if self.randomized:
            self.register_buffer("project_features", torch.randn(num_features, max_features))
            self.register_buffer("project_classes", torch.randn(num_classes, max_features) / max_features**0.5)

    def forward(self, features: Tensor, predictions: Tensor) -> Tensor:
        if self.randomized:
            return (features @ self.project_features) * (predictions @ self.project_classes)
        return (predictions.unsqueeze(2) * features.unsqueeze(1)).flatten(1)


class TwoHeads(nn.Module):
    """Two classifiers with a hidden layer each, or ``deep`` with two that have BatchNorm, and ``dropout`` before each layer.

    ``forward`` is their mean, :meth:`both` gives them apart.
    """

    def __init__(self, num_features: int, hidden: int, num_classes: int, dropout: float = 0.0, deep: bool = False) -> None:
        super().__init__()

        def noise() -> list[nn.Module]:
            return [nn.Dropout(dropout)] if dropout else []

        def head() -> nn.Sequential:
            parts: list[nn.Module] = []
            for width in (num_features, hidden) if deep else (num_features,):
                parts += [*noise(), nn.Linear(width, hidden), *([nn.BatchNorm1d(hidden)] if deep else []), nn.ReLU()]
            return nn.Sequential(*parts, *noise(), nn.Linear(hidden, num_classes))

        self.first, self.second = head(), head()

    def both(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of either classifier, (n, classes) each."""
        return self.first(features), self.second(features)

    def forward(self, features: Tensor) -> Tensor:
        first, second = self.both(features)
        return (first + second) / 2
