"""What every run measures: accuracies of both domains, the confusion on the target, and the label-free validators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from tlda.batch import Output, Sample
from tlda.metrics.validators import InformationMaximization, MixVal, Validators
from tlda.metrics.validators.base import LIMIT

ACCURACY = {"val": ("val/source/accuracy", "oracle/target/accuracy"), "test": ("test/source/accuracy", "test/target/accuracy")}
"""The names of the accuracies. While a run can still select on them, the target's says that it is an oracle's."""


class Measures(nn.Module):
    """The metrics of a run, of which none is in its checkpoint."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.accuracy = nn.ModuleDict(
            {stage: nn.ModuleList(MulticlassAccuracy(num_classes, average="micro") for _ in names) for stage, names in ACCURACY.items()}
        )
        self.confusion = MulticlassConfusionMatrix(num_classes)
        self.certainty = InformationMaximization(num_classes)
        self.validators, self.mixval = Validators(), MixVal()

    def score(self, stage: str, domain: int, logits: Tensor, labels: Tensor) -> dict[str, Metric]:
        """Count the hits on ``domain`` (0 source, 1 target); a label of -1 is none, and makes no accuracy."""
        if (labels < 0).any():
            return {}
        accuracy: Any = self.accuracy[stage][domain]  # type: ignore[index]
        accuracy.update(logits, labels)
        return {ACCURACY[stage][domain]: accuracy}

    def test_target(self, logits: Tensor, labels: Tensor) -> dict[str, Metric]:
        """Count a batch of the target in its confusion and in what needs no label."""
        self.confusion.update(logits, labels)
        self.certainty.update(logits)
        return {"test/target/information_maximization": self.certainty}

    def validate(self, network: Callable[[Tensor], Output], batch: Sample, output: Output, domain: int) -> None:
        """Keep a batch for the validators. Only the first rows of the target are mixed, which asks ``network`` thrice more."""
        self.validators.update(output, batch.y if domain == 0 else None)
        if domain == 1 and self.mixval.pairs.sum() < 2 * LIMIT:
            self.mixval.update(lambda x: network(x).logits, batch.x)

    def validated(self) -> dict[str, Tensor]:
        """The validators by the names of their curves, and a new start for the next epoch; nothing where no target was seen."""
        values: dict[str, Tensor] = self.validators.compute()
        if values:
            values["mixval"] = self.mixval.compute()
        self.validators.reset()
        self.mixval.reset()
        return {f"val/target/{name}": value for name, value in values.items()}
