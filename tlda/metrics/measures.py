"""What every run measures: accuracies of both domains, the confusion on the target, and the label-free validators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from tlda.backbones.text import Text, load_tokenizer
from tlda.batch import Output, Sample
from tlda.errors import UserError
from tlda.metrics.scores import Accuracy
from tlda.metrics.validators import InformationMaximization, MixVal, Validators
from tlda.metrics.validators.base import LIMIT

PLACES = {"val": ("val/source", "oracle/target"), "test": ("test/source", "test/target")}
"""Where a metric of the source and of the target is. While a run can still select on them, the target's says that it is an oracle's."""


class Measures(nn.Module):
    """The metrics of a run, of which none is in its checkpoint.

    Args:
        num_classes: the number of classes.
        extra: by name, what makes a metric of one's own for a domain, 0 or 1, which is updated with the logits and the batch.
        task: the name of the task where a run has several: a part of the names.
    """

    def __init__(self, num_classes: int, extra: Mapping[str, Callable[[int], Metric]] | None = None, task: str = "") -> None:
        super().__init__()
        self.task = task
        makers = {"accuracy": lambda _: Accuracy(num_classes, average="micro"), **(extra or {})}

        def made(domain: int) -> nn.ModuleDict:
            return nn.ModuleDict({name: make(domain) for name, make in makers.items()})

        self.scores = nn.ModuleDict({stage: nn.ModuleList(map(made, (0, 1))) for stage in PLACES})
        self.confusion = MulticlassConfusionMatrix(num_classes)
        self.certainty = InformationMaximization(num_classes)
        self.validators, self.mixval = Validators(), MixVal()

    def score(self, stage: str, domain: int, logits: Tensor, batch: Sample) -> dict[str, Metric]:
        """Count a batch of ``domain`` (0 source, 1 target) in every metric."""
        logits, batch = self.counted(logits, batch)
        if not len(batch.y):
            return {}
        metrics: Any = self.scores[stage][domain]  # type: ignore[index]
        for metric in metrics.values():
            metric.update(logits, batch)
        return {self.name(PLACES[stage][domain], name): metric for name, metric in metrics.items()}

    def counted(self, logits: Tensor, batch: Sample) -> tuple[Tensor, Sample]:
        """What the metrics count of a batch: the rows that have a label, which -1 is not."""
        known = batch.y >= 0
        return (logits, batch) if known.all() else (logits[known], Sample(*(part[known] for part in batch)))

    def test_target(self, logits: Tensor, labels: Tensor) -> dict[str, Metric]:
        """Count a batch of the target in its confusion, where its rows have labels, and in what needs none."""
        known = labels >= 0
        if known.any():
            self.confusion.update(logits[known], labels[known])
        self.certainty.update(logits)
        return {self.name("test/target", "information_maximization"): self.certainty}

    def matrix(self) -> list[list[int]] | None:
        """The confusion on the target, rows by true class; None where nothing was counted."""
        return self.confusion.compute().tolist() if self.confusion.update_called else None

    def name(self, place: str, metric: str) -> str:
        """The name of a metric's curve: ``PLACE/METRIC``, with the task between them where a run has several."""
        return "/".join(part for part in (place, self.task, metric) if part)

    def validate(self, network: Callable[[Tensor], Output], batch: Sample, output: Output, domain: int) -> None:
        """Keep a batch for the validators. Of the target the first rows are mixed, asking ``network`` thrice more; token ids cannot be."""
        self.validators.update(output, batch.y if domain == 0 else None)
        if domain == 1 and batch.x.is_floating_point() and self.mixval.pairs.sum() < 2 * LIMIT:
            self.mixval.update(lambda x: network(x).logits, batch.x)

    def validated(self) -> dict[str, Tensor]:
        """The validators by the names of their curves, and a new start for the next epoch; nothing where no target was seen."""
        values: dict[str, Tensor] = self.validators.compute()
        if values and self.mixval.pairs.sum():
            values["mixval"] = self.mixval.compute()
        self.validators.reset()
        self.mixval.reset()
        return {f"val/target/{name}": value for name, value in values.items()}


def measures_of(method: Any) -> Measures:
    """What a run of ``method`` measures: what its data say, or accuracy where the trainer was given loaders.

    Raises:
        UserError: the method cannot train on data of that kind, or its encoder has another tokenizer than they.
    """
    data = getattr(method.trainer, "datamodule", None)
    if data is None:
        return Measures(method.num_classes)
    if data.inputs not in method.inputs:
        raise UserError(
            f"{type(method).__name__} trains on {' or '.join(method.inputs)}, and {type(data).__name__} gives {data.inputs}: see tlda list"
        )
    require_tokenizer(method.backbone, data)
    made: Measures = data.measures()
    return made


def require_tokenizer(encoder: Any, data: Any) -> None:
    """Raise :class:`UserError` where an ``encoder`` of texts comes with another tokenizer than that which made the tokens of ``data``."""
    for tokenizer in data.tokenizers if isinstance(encoder, Text) else ():
        if tokenizer != encoder.name and _tokens_of(encoder.name) not in (None, _tokens_of(tokenizer)):
            raise UserError(
                f"the texts are tokens of '{tokenizer}', and the encoder '{encoder.name}' was trained on others: "
                "name one model for both, as by --data.tokenizer and --model.backbone.name"
            )


def _tokens_of(model: str) -> str | None:
    """What decides the tokens that a model's tokenizer makes; None where the model comes without one."""
    try:
        # As it is loaded: two files may differ in how they pad.
        tokens: str = load_tokenizer(model).to_str()
    except UserError:
        return None
    return tokens
