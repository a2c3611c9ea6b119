"""The pictures of a run as charts and tables of W&B, in which one can filter, sort and compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from tlda.training.wandb_logger import Tracker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CLASSES = 100
"""The classes that a confusion is charted of at most: the chart has a row per pair of them."""

ROWS = 1000
"""The predictions that the table has at most."""


COLUMNS = ["row", "true class", "predicted class", "confidence", "right"]
"""The columns of the table of predictions."""


class Answers(NamedTuple):
    """What a network says of the rows of a domain, on the CPU: features (n, d), predicted classes, labels, confidences and rows (n,).

    A label of -1 is missing.
    """

    features: Tensor
    predicted: Tensor
    labels: Tensor
    confidence: Tensor
    row: Tensor


class Point(NamedTuple):
    """A row of a domain at its place among the features in two dimensions; the class ``-1`` is missing."""

    domain: str
    label: int
    place: NDArray[np.float32]


def log_charts(tracker: Tracker, target: Answers, points: Sequence[Point], names: Sequence[str]) -> None:
    """Log the predictions of the ``target``, its confusion where it has labels, and the features' ``points``."""
    import wandb

    run: Any = tracker.experiment
    known = target.labels >= 0
    charts = {"tables/predictions": wandb.Table(COLUMNS, predictions(target, names))}
    rows = [[point.domain, names[point.label] if point.label >= 0 else "", *map(float, point.place)] for point in points]
    places = wandb.Table(["domain", "class", "x", "y"], rows)
    charts |= {"tables/features": places, "charts/features": wandb.plot.scatter(places, "x", "y", "Features of both domains")}
    if known.any() and len(names) <= CLASSES:
        pairs = target.labels[known].tolist(), target.predicted[known].tolist()
        charts["charts/confusion"] = wandb.plot.confusion_matrix(None, *pairs, list(names))
    run.log(charts)


def predictions(target: Answers, names: Sequence[str]) -> list[list[object]]:
    """The first :data:`ROWS` rows of the ``target``: row, true class, predicted class, confidence, and whether it is right."""
    columns = zip(*(column[:ROWS].tolist() for column in (target.row, target.labels, target.predicted, target.confidence)), strict=True)
    return [
        [row, names[label] if label >= 0 else None, names[predicted], round(confidence, 4), label == predicted if label >= 0 else None]
        for row, label, predicted, confidence in columns
    ]
