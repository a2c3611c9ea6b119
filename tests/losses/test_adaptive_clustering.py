"""The losses of a few labels of the target: value and gradient against numpy, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.losses.test_label_sets import LOGITS, conforms, softmax
from tlda import losses
from tlda.errors import UserError


def test_minimax_entropy_is_the_agreed_value() -> None:
    o = torch.tensor([[2, 0, 1], [0, 1, 3], [1, 2, 0], [0, 0, 1]], dtype=torch.double)
    assert losses.minimax_entropy(o).item() == pytest.approx(0.7910964024, abs=1e-9)
    conforms(losses.minimax_entropy, lambda x: float(-(softmax(x) * np.log(softmax(x))).sum(1).mean()), LOGITS)


def test_rows_are_alike_whose_greatest_features_are_the_same_in_whatever_order() -> None:
    features = torch.tensor([[3.0, 2.0, 0.0, 1.0], [2.0, 9.0, 0.0, 1.0], [3.0, 0.0, 2.0, 1.0]])
    assert losses.alike(features, 2).tolist() == [[True, True, False], [True, True, False], [False, False, True]]
    with pytest.raises(UserError, match=r"there are 4: give --model\.top"):
        losses.alike(features)


def test_adaptive_clustering() -> None:
    strong, pairs = LOGITS.flip(0) / 2, torch.eye(5).bool() | torch.eye(5).flip(0).bool()

    def reference(x: np.ndarray) -> float:
        same = softmax(x) @ softmax(strong.numpy()).T + 1e-7
        return float(-np.where(pairs.numpy(), np.log(same), np.log(1 + 2e-7 - same)).mean())

    conforms(lambda x: losses.adaptive_clustering(x, strong, pairs), reference, LOGITS)
