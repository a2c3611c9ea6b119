"""The losses of neighbours: value and gradient against numpy, in float64."""

from __future__ import annotations

import numpy as np
import torch

from tests.losses.test_label_sets import LOGITS, conforms
from tlda import losses


def test_attraction_and_dispersion() -> None:
    near = torch.rand(5, 3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.double)
    weights = torch.rand(5, 3, generator=torch.Generator().manual_seed(2), dtype=torch.double)

    def attracted(x: np.ndarray) -> float:
        return -float(sum(weights[i, k] * (x[i] @ near[i, k].numpy()) for i in range(5) for k in range(3))) / 5

    conforms(lambda x: losses.attraction(x, near, weights), attracted, LOGITS)
    conforms(losses.dispersion, lambda x: sum(float(x[i] @ x[j]) for i in range(5) for j in range(5) if i != j) / 5, LOGITS)
    assert losses.attraction(LOGITS, near).item() != losses.attraction(LOGITS, near, weights).item()
