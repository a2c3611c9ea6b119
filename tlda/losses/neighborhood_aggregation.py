"""Neighbourhood aggregation: pseudo-labels from what the network said of the nearest target rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from tlda.errors import UserError
from tlda.nn.numerics import full_precision, log_probabilities

TINY = 1e-12


def neighborhood_aggregation(
    logits: Tensor, features: Tensor, rows: Tensor, bank_features: Tensor, bank_predictions: Tensor, neighbours: int = 5
) -> Tensor:
    r"""The cross-entropy to what a row's nearest neighbours predict, weighted by their certainty (Liang et al., CVPR 2021, sec. 3).

    .. math::
        -\frac{\sum_i w_i \log p_{i, \hat{y}_i}}{\sum_i w_i}, \quad \hat{y}_i = \arg\max_j \bar{q}_{ij}, \quad w_i = \max_j \bar{q}_{ij}

    Its variant NA: the mean prediction of the nearest neighbours in the bank gives the pseudo-label, its largest
    entry, and the weight, its value; the weights are divided by their sum. Only the logits have a gradient. The loss is 0
    while no row has a neighbour.

    Args:
        logits: of the target, (n, c).
        features: of the target, (n, d).
        rows: which rows of the bank these are, (n,); none is its own neighbour.
        bank_features: of unit length, (N, d); the similarities are computed at their precision.
        bank_predictions: (N, c), not negative; a row of zeros is empty and nobody's neighbour.
        neighbours: how many; where fewer are known the weight is smaller.

    Raises:
        UserError: the bank has no more rows than ``neighbours``.

    Example:
        >>> bank, predictions = torch.eye(2), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> round(neighborhood_aggregation(torch.zeros(1, 2), bank[:1], torch.tensor([0]), bank, predictions, neighbours=1).item(), 4)
        0.6931
    """
    weight, label = neighbour_predictions(features, rows, bank_features, bank_predictions, neighbours).max(1)
    losses = cross_entropy(full_precision(logits), label, reduction="none")
    return (weight * losses).sum() / weight.sum().clamp_min(TINY)


@torch.no_grad()
def neighbour_predictions(features: Tensor, rows: Tensor, bank_features: Tensor, bank_predictions: Tensor, neighbours: int) -> Tensor:
    """The mean of the predictions of each row's nearest neighbours in the bank by cosine, (n, c), without gradient.

    The arguments and errors are those of :func:`neighborhood_aggregation`.
    """
    if neighbours >= len(bank_features):
        raise UserError(f"there are {len(bank_features)} target rows, too few for {neighbours} neighbours of each; lower their number")
    # Not under autocast, which would convert the whole bank in each step where its precision is another one.
    with torch.autocast(features.device.type, enabled=False):
        similarity = normalize(full_precision(features), dim=1).to(bank_features.dtype) @ bank_features.T
    similarity.masked_fill_((bank_predictions == 0.0).all(1), -torch.inf)
    similarity.scatter_(1, rows[:, None], -torch.inf)
    nearest = similarity.topk(neighbours)
    # What stands last for want of others counts as nothing.
    known = ~nearest.values.isneginf()
    return (bank_predictions[nearest.indices] * known[:, :, None]).mean(1)


def sharpened(logits: Tensor, temperature: float = 0.5) -> Tensor:
    """``p^(1/T)`` of each row divided by its sum over the batch, so that each class counts the same: (n, c), of columns that sum to 1."""
    # In the log domain: of a class that nobody predicts too, the sum is not 0.
    return (log_probabilities(logits) / temperature).softmax(0)


class MemoryBank(nn.Module):
    """The latest features and predictions of each row of a data set; part of the checkpoint, so that a resumed run continues.

    A new bank has no rows; it takes the number of rows of the checkpoint that is loaded into it. The features are in
    bfloat16: half the memory and a third of the time of float32, and unlike float16 it is fast on a processor.

    Args:
        num_features: the width d of the features.
        num_classes: the number of classes c.
    """

    features: Tensor
    """Of unit length, (rows, d)."""
    predictions: Tensor
    """Sharpened, (rows, c); zeros where nothing is known yet."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(0, num_features, dtype=torch.bfloat16))
        self.register_buffer("predictions", torch.zeros(0, num_classes))

    def __len__(self) -> int:
        return len(self.features)

    def clear(self, rows: int) -> None:
        """Forget everything, and make room for ``rows``."""
        self.features, self.predictions = (old.new_zeros(rows, old.shape[1]) for old in (self.features, self.predictions))

    def update(self, rows: Tensor, features: Tensor, predictions: Tensor) -> None:
        """Write ``features`` (n, d), of any length, and ``predictions`` (n, c) of ``rows`` (n,)."""
        self.features[rows] = normalize(full_precision(features), dim=1).to(self.features.dtype)
        self.predictions[rows] = predictions.to(self.predictions.dtype)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        rows = len(state.get(prefix + "features", self.features))
        if len(self) not in (0, rows):
            raise UserError(f"the checkpoint remembers {rows} target rows, and the target has {len(self)}: use the data it was trained on")
        if rows != len(self):
            self.clear(rows)
        super()._load_from_state_dict(state, prefix, *args)
