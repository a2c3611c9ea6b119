"""Pictures of a finished run: the confusion matrix on the target, the features of both domains, and what was translated."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from tlda.batch import Sample
from tlda.data.pair import DomainPair
from tlda.data.samplers import by_one_process
from tlda.nn import evaluating
from tlda.report.box_pictures import detection_figure
from tlda.report.charts import Answers, Point, log_charts
from tlda.report.in_words import writes, written_samples
from tlda.report.maps import segmentation_figure
from tlda.report.of_translation import translation_figure, translation_grid, translator_of
from tlda.report.samples import sample_images, samples_figure
from tlda.rl import Physics, Policy
from tlda.rl.film import film_strip
from tlda.tasks import Detection, Segmentation
from tlda.tasks.classification import scored
from tlda.tasks.heads import first_label
from tlda.training.predictions import write_predictions
from tlda.training.tracking import log_picture
from tlda.training.wandb_logger import trackers

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

DOMAINS = {"source": "o", "target": "x"}
"""The domains, each with its mark among the features."""

ROWS = 300
"""The number of rows per domain in the picture of the features; more rows take time and show little more."""


class Charts(NamedTuple):
    """What interactive charts are of: the answers for the target, and the features of both domains in two dimensions."""

    target: Answers
    points: list[Point]


Drawn = tuple[dict[str, "Figure"], Charts | None]
"""Figures by name, and what interactive charts are of."""


class Pictures(Callback):
    """At the end of training, draw the run into its ``folder`` and log the pictures to W&B, TensorBoard and MLflow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw features, confusion where the target has labels, images, and translations; of a policy an episode on the target.

        Where the answers are words, some of what is written is in ``samples.csv``.
        """
        run: Any = trainer
        data = run.datamodule
        if not trainer.is_global_zero:
            return
        if writes(data):
            self._log_written(pl_module, data)
        if not (data.task.classes or isinstance(data, Physics) or isinstance(data.task, Detection)):
            return  # the pictures are of classes, of boxes, or of a policy
        drawn = self._drawn(pl_module, data)
        if drawn is None:
            return
        figures, charts = drawn
        if translator := translator_of(pl_module):
            figures["translation"] = translation_figure(translation_grid(translator.eval(), data))
        for name, figure in figures.items():
            figure.savefig(self.folder / f"{name}.png", dpi=150)
            for logger in trainer.loggers:
                log_picture(logger, f"pictures/{name}", self.folder / f"{name}.png", trainer.global_step)
        if charts is not None:
            for tracker in trackers(trainer.loggers):
                log_charts(tracker, charts.target, charts.points, data.task.classes)

    def _log_written(self, method: LightningModule, data: DomainPair) -> None:
        columns = written_samples(method, data)
        write_predictions(self.folder / "samples.csv", columns)
        for tracker in trackers(method.trainer.loggers):
            tracker.log_text("samples", list(columns), [list(row) for row in zip(*columns.values(), strict=True)])

    def _drawn(self, method: LightningModule, data: DomainPair) -> Drawn | None:
        if isinstance(data.task, Detection):
            return {"detection": detection_figure(method, data, data.task)}, None
        if isinstance(data, Physics) and isinstance(method, Policy):
            film = film_strip(method, data)
            return None if film is None else ({"film": film}, None)
        return self._of_maps(method, data) if isinstance(data.task, Segmentation) else self._of_rows(method, data)

    @staticmethod
    def _of_maps(method: LightningModule, data: DomainPair) -> Drawn:
        assert isinstance(data.task, Segmentation)
        return {"segmentation": segmentation_figure(method, data, data.task)}, None

    @staticmethod
    def _of_rows(method: LightningModule, data: DomainPair) -> Drawn | None:
        """The figures by name, and what interactive charts are of; None where the features are not finite."""
        # A target without labels is not among what is measured: its rows are those to predict, and it has no confusion.
        with by_one_process():
            measured = data.test_dataloader()[:2]  # of several data sets, the first
            loaders = measured if len(measured) > 1 else [*measured, data.predict_dataloader()]
        source, target = (collect(method, data, loader) for loader in loaders)
        if not all(bool(answers[0].isfinite().all()) for answers in (source, target)):
            print(
                "tlda: the features are not finite (NaN or infinite), so that there are no pictures: the training diverged", file=sys.stderr
            )
            return None
        points = features_points([source.features, target.features], [source.labels, target.labels])
        figures = {"features": features_figure(points, list(data.task.classes))}
        if len(measured) > 1:
            figures["confusion"] = confusion_figure(target.predicted, target.labels, list(data.task.classes))
        if images := sample_images(data):
            figures["samples"] = samples_figure(images)
        return figures, Charts(target, points)


def collect(method: LightningModule, data: DomainPair, loader: Iterable[Sample]) -> Answers:
    """What ``method`` says of a loader's rows, at the precision of what is measured."""
    parts = []
    with evaluating(method), method.trainer.precision_plugin.forward_context():
        for batch in loader:
            batch = data.on_after_batch_transfer(data.transfer_batch_to_device(batch, method.device, 0), 0)
            output = method(batch.x)
            confidence, predicted = scored(data.task, output.logits).float().softmax(1).max(1)
            parts.append(Answers(output.features.float(), predicted, first_label(batch.y), confidence, batch.row))
    return Answers(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def _axes(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, figure.subplots(1, columns)


def confusion_figure(predicted: Tensor, labels: Tensor, names: list[str]) -> Figure:
    """A matplotlib figure of the rows by true class (down) and predicted class (across), in percent of the true class."""
    from sklearn.metrics import confusion_matrix

    share = 100 * confusion_matrix(labels, predicted, labels=range(len(names)), normalize="true")
    side = max(5.0, 0.22 * len(names) + 0.06 * max(map(len, names)))
    figure, axes = _axes(side + 0.6, side)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    size = 9 if len(names) <= 20 else 7
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.set(xlabel="predicted class", ylabel="true class", title="Confusion on the target, % of each true class")
    for row, column in zip(*(share >= 0.5).nonzero(), strict=True) if len(names) <= 15 else ():
        value = share[row, column]
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color="white" if value > 50 else "black")
    figure.colorbar(image, fraction=0.046)
    return figure


def flat(features: Tensor) -> NDArray[np.float32]:
    """Features (n, d) in two dimensions (n, 2), by t-SNE from their principal components."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    embedding = TSNE(perplexity=perplexity, random_state=0, init="pca" if features.std() > 0 else "random")
    flattened: NDArray[np.float32] = embedding.fit_transform(features)
    return flattened


def some_rows(features: Tensor) -> Tensor:
    """The rows of the features (n, d) that are drawn: at most :data:`ROWS`, the same for as many rows."""
    return torch.randperm(len(features), generator=torch.Generator().manual_seed(0))[:ROWS]


def features_points(features: list[Tensor], labels: list[Tensor]) -> list[Point]:
    """Some rows of the source and the target in two dimensions; a label of -1 is none."""
    few = [some_rows(f) for f in features]
    places = flat(torch.cat([f[rows] for f, rows in zip(features, few, strict=True)]))
    classes = [(name, c) for name, y, rows in zip(DOMAINS, labels, few, strict=True) for c in y[rows].tolist()]
    return [Point(name, c, place) for (name, c), place in zip(classes, places, strict=True)]


def features_figure(points: list[Point], names: list[str]) -> Figure:
    """A matplotlib figure of both domains' features in two dimensions, by domain and by class."""
    figure, (left, right) = _axes(6.0, 5.0, columns=2)
    for name, marker in DOMAINS.items():
        chosen = [point for point in points if point.domain == name]
        places = [point.place for point in chosen]
        left.scatter(*zip(*places, strict=True), s=14, marker=marker, linewidths=0.9, label=name, alpha=0.8)
        _scatter_classes(right, places, [point.label for point in chosen], len(names), marker)
    left.legend()
    left.set_title("By domain: mixed where they are aligned")
    if len(names) <= 20:
        handles = [right.scatter([], [], color=_colour(c, len(names)), label=name) for c, name in enumerate(names)]
        right.legend(handles=handles, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    right.set_title("By true class: source as dots, target as crosses")
    for axes in (left, right):
        axes.set(xticks=[], yticks=[])
    return figure


def _scatter_classes(axes: Any, places: Sequence[NDArray[np.float32]], labels: Sequence[int], count: int, marker: str) -> None:
    colours = [_colour(c, count) for c in labels]
    axes.scatter(*zip(*places, strict=True), s=14, marker=marker, linewidths=0.9, c=colours, alpha=0.8)


def _colour(c: int, count: int) -> Any:
    """The colour of class ``c`` of ``count``; grey for none."""
    from matplotlib import colormaps

    if c < 0:
        return (0.6, 0.6, 0.6, 1.0)
    return colormaps["tab10" if count <= 10 else "tab20"](c) if count <= 20 else colormaps["gist_rainbow"](c / (count - 1))
