"""ClassMix and the weighted cross-entropy against loops by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import log_softmax

from tlda.losses import class_mix, half_of_classes, weighted_cross_entropy


def test_the_larger_half_of_the_classes_is_whole_and_void_is_never_chosen() -> None:
    torch.manual_seed(0)
    y = torch.randint(-1, 5, (20, 4, 6))
    drawn = set()
    for labels, chosen in zip(y, half_of_classes(y), strict=True):
        classes = set(labels[chosen].flatten().tolist())
        assert len(classes) == (len(set(labels.flatten().tolist()) - {-1}) + 1) // 2
        assert -1 not in classes
        assert all(bool(chosen[labels == number].all()) for number in classes)
        drawn |= classes
    assert drawn == {0, 1, 2, 3, 4}
    assert not half_of_classes(torch.full((1, 2, 2), -1)).any()


def test_image_and_labels_are_pasted_at_the_same_places() -> None:
    torch.manual_seed(0)
    source, target = torch.rand(2, 3, 8, 8), 2 + torch.rand(4, 3, 8, 8)
    y, labels = torch.randint(0, 3, (2 * 4 * 4,)), torch.full((4 * 4 * 4,), 7)
    x, mixed, pasted = class_mix(source, y, target, labels)
    for image in range(4):
        for line in range(8):
            for column in range(8):
                row = image * 16 + line // 2 * 4 + column // 2
                of_source = bool(pasted[row])
                assert torch.equal(x[image, :, line, column], (source[image % 2] if of_source else target[image])[:, line, column])
                assert mixed[row] == (y[image % 2 * 16 + row % 16] if of_source else 7)
    assert 0 < pasted.float().mean() < 1


def test_the_cross_entropy_is_weighted(conforms: Callable[..., None]) -> None:
    random = np.random.default_rng(0)
    x, y, w = random.normal(size=(7, 3)), np.array([0, 2, -1, 1, 1, 0, -1]), random.random(7)
    known = y >= 0

    def reference(x: np.ndarray) -> float:
        return float(-np.sum(w[known] * log_softmax(x, axis=1)[known, y[known]]) / known.sum())

    conforms(lambda x: weighted_cross_entropy(x, torch.tensor(y), torch.tensor(w)), reference, x)
