"""How good a translation is, to a classifier of the source that stays as it was."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from tlda.batch import Output

SUBSETS = 20
"""How often the kernel distance is estimated, each time on :data:`SUBSET` rows of either domain at most."""
SUBSET = 500


class Features(nn.Identity):
    """What torchmetrics takes for its feature network where the features are there already: (n, d) to the same."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


class Translation(nn.Module):
    """Fréchet and kernel distance of translated images from the target's, and how many keep their class; no target label is looked at.

    The distances are those of Heusel et al. (NeurIPS 2017, eq. 6) and Bińkowski et al. (ICLR 2018, sec. 4), over the features
    of a classifier that judges in place of Inception's: they compare translations that the same classifier judges, and no others.

    Args:
        num_features: the width of its features.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.frechet = FrechetInceptionDistance(Features(num_features))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it keeps the features: of the evaluation's rows, and float32
            self.kernel = KernelInceptionDistance(Features(num_features), subsets=SUBSETS)
        self.kept = MeanMetric()

    def update(self, images: Output, before: Output | None = None) -> None:
        """Count a batch of target images, or one of translated images that are judged to be ``before`` as they were."""
        for metric in (self.frechet, self.kernel):
            metric.update(images.features.float(), real=before is None)
        if before is not None:
            self.kept.update((before.logits.argmax(1) == images.logits.argmax(1)).float())

    def computed(self) -> dict[str, Tensor]:
        """The measures by the names of their curves, and a new start; nothing where fewer than two images of a domain were seen."""
        metrics: tuple[Any, ...] = (self.frechet, self.kernel, self.kept)
        values = self._values() if min(self._rows()) > 1 else {}
        for metric in metrics:
            metric.reset()
        return values

    def _rows(self) -> list[int]:
        counts = self.kernel.real_features, self.kernel.fake_features
        return [sum(len(part) for part in features) for features in counts]

    def _values(self) -> dict[str, Tensor]:
        self.kernel.subset_size = min(SUBSET, *self._rows())
        # The subsets are drawn anew each time, from a stream of their own: what is measured must not move what is trained.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            kernel = self.kernel.compute()[0]
        values = {"frechet": self.frechet.compute(), "kernel": kernel, "semantic": self.kept.compute()}
        return {f"val/translation/{name}": value for name, value in values.items()}
