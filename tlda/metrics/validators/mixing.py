"""A validator that asks the network about mixtures of target images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tlda.metrics.validators.base import Validator

Network = Callable[[Tensor], Tensor]
"""From inputs (n, …) to logits (n, c), in evaluation mode."""


def interpolation_consistency(
    network: Network, images: Tensor, generator: torch.Generator | None = None, mix: float = 0.55
) -> tuple[Tensor, Tensor]:
    """How often a mixture of two images is predicted as its larger part is: hits (2,) and pairs (2,), intra-cluster first.

    A cluster is what the network predicts alike. Each image is mixed with another of its cluster (does the cluster hold
    together?), and with one of another (is the boundary half-way?): the pairs are neighbours in a random order of all images,
    and in the same order within each cluster (Hu et al., NeurIPS 2023, sec. 3; in their code the order is that of a file).

    Args:
        network: from images to logits.
        images: (n, c, h, w), or inputs of any shape that can be averaged.
        generator: of the random order, on the processor; by default one that starts from 0 at each call.
        mix: the share of the larger part.
    """
    labels = network(images).argmax(1)
    order = torch.randperm(len(images), generator=generator or torch.Generator().manual_seed(0)).to(images.device)
    clustered = order[labels[order].argsort(stable=True)]
    counts = [_agreement(network, images, labels, rows, same, mix) for rows, same in ((clustered, True), (order, False))]
    hits, pairs = torch.tensor(counts, dtype=torch.float64, device=images.device).T
    return hits, pairs


def _agreement(network: Network, images: Tensor, labels: Tensor, rows: Tensor, same: bool, mix: float) -> tuple[int, int]:
    """The hits, and the pairs among each of ``rows`` and the next, whose labels are the same, or are not."""
    others = rows.roll(1)
    wanted = ((labels[rows] == labels[others]) == same) & (rows != others)
    rows, others = rows[wanted], others[wanted]
    if not len(rows):
        return 0, 0
    predicted = network(mix * images[rows] + (1.0 - mix) * images[others]).argmax(1)
    return int((predicted == labels[rows]).sum()), len(rows)


def mixval(network: Network, images: Tensor, generator: torch.Generator | None = None, mix: float = 0.55) -> Tensor:
    """The mean of both rates of :func:`interpolation_consistency`, 0 to 1 (MixVal, Hu et al., NeurIPS 2023).

    The paper averages the ranks that a model has by either rate, which a model alone has not. A kind without a pair counts 0:
    a network that predicts one class has no boundary.
    """
    return _score(*interpolation_consistency(network, images, generator, mix))


def _score(hits: Tensor, pairs: Tensor) -> Tensor:
    return (hits / pairs.clamp_min(1)).mean()


class MixVal(Validator):
    """:func:`mixval` over batches, each of which is mixed in itself: they should be of all classes, so not in their order.

    Update with ``(network, images)``. It costs three forward passes of each image.

    Args:
        mix: the share of the larger part; 0.55 is the paper's.
    """

    label = "MixVal"
    higher_is_better = True
    hits: Tensor
    pairs: Tensor

    def __init__(self, mix: float = 0.55) -> None:
        super().__init__()
        self.mix = mix
        for state in ("hits", "pairs"):
            self.add_state(state, torch.zeros(2, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, network: Network, images: Tensor) -> None:
        """Count a batch of target images (n, c, h, w), mixed and seen by ``network``."""
        hits, pairs = interpolation_consistency(network, images, mix=self.mix)
        self.hits += hits
        self.pairs += pairs

    def compute(self) -> Tensor:
        """The mean of both rates over all batches."""
        return _score(self.hits, self.pairs)
