"""How good a translation is, to a classifier of the source that stays as it was."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import all_reduce, is_initialized
from torchmetrics import MeanMetric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from tlda.batch import Output
from tlda.errors import UserError, lacking

SUBSETS = 20
"""How often the kernel distance is estimated, each time on :data:`SUBSET` rows of either domain at most."""
SUBSET = 500

MEASURES = "val/translation/"
"""How the names of the measures begin."""

INCEPTION = 2048
"""The width of Inception's last features."""
WEIGHTS = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
"""Where the weights are whose distances the field calls FID and KID."""


class Features(nn.Identity):
    """What torchmetrics takes for its feature network where the features are there already: (n, d) to the same."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def load_inception(weights: str) -> nn.Module:
    """Inception as FID has it, from the file ``weights``: bytes (n, 3, h, w) to features (n, 2048).

    Raises:
        UserError: the file is not there or holds something else, or torch-fidelity is not installed.
    """
    from torchmetrics.image.fid import NoTrainInceptionV3

    if not Path(weights).is_file():
        raise UserError(f"there is no file {weights} with Inception's weights: get it from {WEIGHTS}")
    try:
        torch.load(weights, weights_only=True)  # torch-fidelity would run whatever is pickled in it
        importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")  # what torchmetrics found when it was imported may be gone
        return NoTrainInceptionV3("inception-v3-compat", [str(INCEPTION)], weights)
    except ImportError as error:
        raise lacking("a distance over Inception's features", "torch-fidelity", "inception") from error
    except Exception as error:
        raise UserError(f"{weights} does not hold Inception's weights ({str(error).splitlines()[0]}): get them from {WEIGHTS}") from error


class Translation(nn.Module):
    """Fréchet and kernel distance of translated images from the target's, and how many keep their class; no target label is looked at.

    The distances are those of Heusel et al. (NeurIPS 2017, eq. 6) and Bińkowski et al. (ICLR 2018, sec. 4). Over the features
    of the classifier that judges they compare translations that the same classifier judges, and no others; over Inception's they
    are FID and KID, and have names of their own.

    Args:
        num_features: the width of the judge's features.
        inception: the file of Inception's weights, to measure over its features; None for the judge's.
    """

    def __init__(self, num_features: int, inception: str | None = None) -> None:
        super().__init__()
        # In a list, so that checkpoints are without it.
        self.network = [load_inception(inception)] if inception else []
        num_features, self.prefix = (INCEPTION, "inception_") if inception else (num_features, "")
        self.frechet = FrechetInceptionDistance(Features(num_features))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it keeps the features: of the evaluation's rows, and float32
            self.kernel = KernelInceptionDistance(Features(num_features), subsets=SUBSETS)
        self.kept = MeanMetric()

    def update(self, images: Tensor, judged: Output, before: Output | None = None) -> None:
        """Count a batch of target images, or one of translated images that are judged to be ``before`` as they were."""
        features = self._features(images) if self.network else judged.features.float()
        for metric in (self.frechet, self.kernel):
            metric.update(features, real=before is None)
        if before is not None:
            self.kept.update((before.logits.argmax(1) == judged.logits.argmax(1)).float())

    def _features(self, images: Tensor) -> Tensor:
        network = self.network[0].to(images.device)
        with torch.autocast(images.device.type, enabled=False):
            features: Tensor = network((255 * images.float().clamp(0, 1)).round().byte().expand(-1, 3, -1, -1))
        return features

    def computed(self) -> dict[str, Tensor]:
        """The measures by the names of their curves, and a new start; nothing where fewer than two images of a domain were seen."""
        metrics: tuple[Any, ...] = (self.frechet, self.kernel, self.kept)
        rows = self._rows()
        values = self._values(rows) if min(rows) > 1 else {}
        for metric in metrics:
            metric.reset()
        return values

    def _rows(self) -> list[int]:
        parts: Any = (self.kernel.real_features, self.kernel.fake_features)
        counts = torch.tensor([sum(len(part) for part in features) for features in parts], device=self.kept.device)
        if is_initialized():
            all_reduce(counts)  # as the metrics themselves do: all processes must measure, or none
        return [int(count) for count in counts]

    def _values(self, rows: list[int]) -> dict[str, Tensor]:
        self.kernel.subset_size = min(SUBSET, *rows)
        # The subsets are drawn anew each time, from a stream of their own: what is measured must not move what is trained.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)  # and no device's, which would stay so
            kernel = self.kernel.compute()[0]
        distances = {"frechet": self.frechet.compute(), "kernel": kernel}
        values = {self.prefix + name: value for name, value in distances.items()} | {"semantic": self.kept.compute()}
        return {MEASURES + name: value for name, value in values.items()}
