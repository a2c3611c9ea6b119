"""Pictures of boxes: images with the boxes that are labelled, and with those that are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import LightningModule

from tlda.data.pair import DomainPair
from tlda.documents.outlines import DRAWN
from tlda.documents.palette import palette
from tlda.nn import evaluating
from tlda.report.maps import SHOWN
from tlda.tasks import Detection

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def detection_figure(method: LightningModule, data: DomainPair, task: Detection) -> Figure:
    """Draw some target images, evenly from those that are measured: a line with the labels, and one with what is found."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = data.evaluation_rows[1]
    batch = data.prepare(rows[torch.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).long()])
    with evaluating(method), method.trainer.precision_plugin.forward_context():
        found = task.boxes(method(batch.x.to(method.device)).logits, batch.x).cpu()
    figure = Figure(figsize=(2.6 * len(batch.x), 5.8), layout="constrained")
    grid: Any = figure.subplots(2, len(batch.x), squeeze=False)
    colours = [tuple(part / 255 for part in colour) for colour in palette(len(task.names))]
    for axes, image, true, boxes in zip(grid.T, batch.x, batch.y, found, strict=True):
        for place, drawn in zip(axes, (true[true[:, 0] >= 0], boxes[boxes[:, 1] >= DRAWN][:, [0, 2, 3, 4, 5]]), strict=True):
            place.imshow(image.expand(3, -1, -1).permute(1, 2, 0).numpy())
            place.set(xticks=[], yticks=[])
            _draw(place, drawn.tolist(), colours)
    grid[0, 0].set_ylabel("labels (oracle)")
    grid[1, 0].set_ylabel(f"found, score {DRAWN} or more")
    patches = [Patch(color=colour, label=name) for colour, name in zip(colours, task.names, strict=True)]
    figure.legend(handles=patches[:20], loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def _draw(axes: Any, boxes: list[list[float]], colours: list[tuple[float, ...]]) -> None:
    from matplotlib.patches import Rectangle

    for number, left, top, right, bottom in boxes:
        colour = colours[int(number)]
        axes.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1))
