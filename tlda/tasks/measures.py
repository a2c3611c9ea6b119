"""The metrics of every run: those of the task at each place, the confusion on the target, and the label-free validators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from tlda.batch import Inputs, Output, Sample
from tlda.inputs import taken
from tlda.metrics.pairs import AtSourceThreshold
from tlda.metrics.validators import VALIDATORS, InformationMaximization, MixVal, Validators
from tlda.metrics.validators.base import LIMIT
from tlda.tasks.base import Task
from tlda.tasks.place import SOURCE_AND_TARGET, Place
from tlda.tasks.segmentation import sampled


class Answering(Protocol):
    """A network with a head, called with inputs."""

    @property
    def head(self) -> nn.Module: ...

    def __call__(self, x: Inputs) -> Output: ...


class Measures(nn.Module):
    """The metrics of a run, of which none is in its checkpoint.

    Args:
        task: the task.
        places: what is measured, in the order of the evaluation loaders.
    """

    def __init__(self, task: Task, places: Sequence[Place] = SOURCE_AND_TARGET) -> None:
        super().__init__()
        self.task, self.places = task, list(places)
        self.names = list(task.parts)
        self.parts: Any = nn.ModuleList(
            [
                Part(name if len(self.names) > 1 else "", part, self.places, [task.measured_at(place, name) for place in self.places])
                for name, part in task.parts.items()
            ]
        )

    @property
    def first(self) -> Part:
        """The metrics of the first task, or of the only one."""
        part: Part = self.parts[0]
        return part

    def validate(self, network: Answering, batch: Sample, output: Output, index: int) -> dict[str, Metric]:
        """Count a batch of the place ``index`` after an epoch, and keep it for the validators; ``network`` has a ``head``."""
        found: dict[str, Metric] = {}
        for part, own, sample in self._views(network.head, batch, output, index):
            found |= part.score("val", own, sample, index)
            if part is self.first and not self.places[index].apart:
                part.validate(network, sample, own, self.places[index])
        return found

    def validated(self) -> dict[str, Tensor]:
        """The validators by the names of their curves, and a new start for the next epoch; nothing without a target, or without classes."""
        return self.first.validated()

    def test(self, network: Answering, batch: Sample, output: Output, index: int) -> dict[str, Metric]:
        """Count a batch of the place ``index`` at the end."""
        found: dict[str, Metric] = {}
        for part, own, sample in self._views(network.head, batch, output, index):
            found |= part.score("test", own, sample, index)
            if self.places[index].role == "target":
                found |= part.test_target(own, sample)
        return found

    def directions(self) -> dict[str, bool]:
        """Whether higher is better, by the name of each metric of validation that has a direction."""
        found: dict[str, bool | None] = {f"val/target/{name}": validator.higher_is_better for name, validator in VALIDATORS.items()}
        for part in self.parts:
            for place, metrics in zip(self.places, part.scores["val"], strict=True):
                found |= {part.called(place.prefix("val"), name): metric.higher_is_better for name, metric in metrics.items()}
        return {name: higher for name, higher in found.items() if higher is not None}

    def matrix(self) -> list[list[int]] | None:
        """The confusion of the first task on the target, rows by true class; None where nothing was counted."""
        return self.first.matrix()

    def _views(self, head: nn.Module, batch: Sample, output: Output, index: int) -> list[tuple[Part, Output, Sample]]:
        views = self.task.views(head, output, batch, self.places[index])
        return [(self.parts[self.names.index(name)], own, sample) for name, own, sample in views]


class Part(nn.Module):
    """The metrics of one task; its ``name`` is a part of theirs where a run has several.

    Label-free validators, confusion and certainty are those of classes: a task without classes has its metrics alone.
    """

    def __init__(self, name: str, task: Task, places: Sequence[Place], measured: Sequence[bool]) -> None:
        super().__init__()
        self.name, self.task, self.places = name, task, places

        def made(place: Place, counts: bool) -> nn.ModuleDict:
            return nn.ModuleDict(task.metrics(place) if counts else {})

        self.scores: Any = nn.ModuleDict({stage: nn.ModuleList(map(made, places, measured)) for stage in ("val", "test")})
        self.each: Any = nn.ModuleList(
            nn.ModuleList(made(place, counts) for _ in place.pooled if task.one_row) for place, counts in zip(places, measured, strict=True)
        )
        scores: Any = self.scores
        for stage in ("val", "test"):
            let_look_at_source(places, scores[stage])
        self.confusion = MulticlassConfusionMatrix(len(task.classes)) if task.classes else None
        self.certainty = InformationMaximization(len(task.outputs)) if task.classes else None
        self.validators, self.mixval = Validators(), MixVal()

    def score(self, stage: str, output: Output, batch: Sample, index: int) -> dict[str, Metric]:
        """Count the rows of a batch that have a label in every metric of the place ``index``."""
        output, batch = counted(self.task, output, batch)
        if not len(batch.y):
            return {}
        prefix = self.places[index].prefix(stage)
        found = self._update(prefix, self.scores[stage][index], output.logits, batch)
        for number, (domain, metrics) in enumerate(
            zip(self.places[index].pooled, self.each[index] if stage == "test" else (), strict=False)
        ):
            own = batch.domain == number
            if bool(own.any()):
                rows = Sample(taken(batch.x, own), batch.y[own], batch.row[own], batch.domain[own])
                found |= self._update(f"{prefix}/{domain}", metrics, output.logits[own], rows)
        return found

    def _update(self, prefix: str, metrics: Any, logits: Tensor, batch: Sample) -> dict[str, Metric]:
        """Count a batch in ``metrics``, and give them by the names of their curves."""
        for metric in metrics.values():
            metric.update(logits, batch)
        return {self.called(prefix, name): metric for name, metric in metrics.items()}

    def test_target(self, output: Output, batch: Sample) -> dict[str, Metric]:
        """Count a batch of the target in its confusion, where its rows have labels, and in what needs none."""
        if self.confusion is None or self.certainty is None:
            return {}
        known, rows = counted(self.task, output, batch)
        if len(rows.y):
            self.confusion.update(known.logits, rows.y)
        self.certainty.update(self.of_head(output).logits)
        return {self.called("test/target", "information_maximization"): self.certainty}

    def matrix(self) -> list[list[int]] | None:
        """The confusion on the target, rows by true class; None where nothing was counted."""
        if self.confusion is None or not self.confusion.update_called:
            return None
        counts: list[list[int]] = self.confusion.compute().tolist()
        return counts

    def called(self, prefix: str, metric: str) -> str:
        """The name of a metric's curve: ``PREFIX/METRIC``, with the task between them where a run has several."""
        return "/".join(part for part in (prefix, self.name, metric) if part)

    def validate(self, network: Answering, batch: Sample, output: Output, place: Place) -> None:
        """Keep a batch for the validators. Of the target the first rows are mixed, asking ``network`` thrice more; token ids cannot be."""
        if not self.task.classes:
            return
        output, batch = sampled(self.task, output, batch)
        self.validators.update(self.of_head(output), batch.y if place.role == "source" else None)
        mixes = self.task.one_row and isinstance(batch.x, Tensor) and batch.x.is_floating_point()
        if place.role == "target" and mixes and self.mixval.pairs.sum() < 2 * LIMIT:
            self.mixval.update(lambda x: self.of_head(network(x)).logits, batch.x)

    def of_head(self, output: Output) -> Output:
        """``output`` with the logits of the head's classes alone, without one of the unknown rows, which is no class of the source."""
        return output._replace(logits=output.logits[:, : len(self.task.outputs)])

    def validated(self) -> dict[str, Tensor]:
        """The validators by the names of their curves, and a new start for the next epoch; nothing without a target, or without classes."""
        if not self.task.classes:
            return {}
        values: dict[str, Tensor] = self.validators.compute()
        if values and self.mixval.pairs.sum():
            values["mixval"] = self.mixval.compute()
        self.validators.reset()
        self.mixval.reset()
        return {f"val/target/{name}": value for name, value in values.items()}


def let_look_at_source(places: Sequence[Place], metrics: Iterable[nn.ModuleDict]) -> None:
    """Give the metrics of each place that look at the source's pairs the threshold of the source, which is measured before the target."""
    each: list[tuple[Place, dict[str, Any]]] = [(place, dict(own.items())) for place, own in zip(places, metrics, strict=True)]
    source = next((own for place, own in each if place.role == "source"), {})
    for _, own in each:
        for metric in own.values():
            if isinstance(metric, AtSourceThreshold):
                metric.source = [source["threshold"]] if "threshold" in source else []


def counted(task: Task, output: Output, batch: Sample) -> tuple[Output, Sample]:
    """The rows of a batch that have a label: those that the metrics count."""
    known = task.known(batch.y)
    if known.all():
        return output, batch
    x = taken(batch.x, known) if task.one_row else batch.x
    rows = Sample(x, batch.y[known], batch.row[known], batch.domain[known] if batch.domain.ndim else batch.domain)
    # Of a map the features are those of coarser positions than the logits, and no metric looks at them.
    features = output.features[known] if len(output.features) == len(known) else output.features
    return Output(features, output.logits[known]), rows
