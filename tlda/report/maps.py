"""Pictures of maps of classes: images, the labels of their pixels, and what is predicted for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from tlda.data.pair import DomainPair
from tlda.documents.palette import palette
from tlda.nn import evaluating
from tlda.tasks import Segmentation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 4
"""The images that are drawn."""


def painted(maps: Tensor, count: int) -> Tensor:
    """Maps of ``count`` classes (n, h, w) in colours, bytes (n, h, w, 3); black where there is no class."""
    colours = torch.tensor([(0, 0, 0), *palette(count)], dtype=torch.uint8)
    return colours[maps + 1]


def predicted_maps(method: LightningModule, task: Segmentation, x: Tensor) -> Tensor:
    """The class (n, h, w) of every pixel of images ``x`` (n, c, h, w)."""
    with evaluating(method), method.trainer.precision_plugin.forward_context():
        return task.pixels(method(x.to(method.device)).logits, x).argmax(1).cpu()


def segmentation_figure(method: LightningModule, data: DomainPair, task: Segmentation) -> Figure:
    """A matplotlib figure of some target images, evenly from those that are measured: the image, its labels, and the predictions."""
    rows, count = data.evaluation_rows[1], len(task.classes)
    # One after the other: images of their own sizes make no batch.
    chosen = torch.linspace(0, len(rows) - 1, min(SHOWN, len(rows))).long()
    batches = [data.prepare(rows[row]) for row in chosen[:, None]]
    truth = [painted(batch.y, count)[0] for batch in batches]
    found = [painted(predicted_maps(method, task, batch.x), count)[0] for batch in batches]
    return maps_figure([batch.x[0] for batch in batches], {"labels (oracle)": truth, "predicted": found}, task.classes)


def maps_figure(images: Sequence[Tensor], maps: Mapping[str, Sequence[Tensor]], names: Sequence[str]) -> Figure:
    """A figure with a line per image (c, h, w) in 0..1, and beside it each of its painted ``maps`` (h, w, 3)."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(3.2 * (1 + len(maps)), 2.3 * len(images) + 0.6), layout="constrained")
    grid: Any = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    columns = {"image": [image.expand(3, -1, -1).permute(1, 2, 0) for image in images], **maps}
    for number, (title, pictures) in enumerate(columns.items()):
        grid[0, number].set_title(title)
        for axes, picture in zip(grid[:, number], pictures, strict=True):
            axes.imshow(picture.numpy())
            axes.set(xticks=[], yticks=[])
    colours = [tuple(part / 255 for part in colour) for colour in palette(len(names))]
    patches = [Patch(color=colour, label=name) for colour, name in zip(colours, names, strict=True)]
    figure.legend(handles=patches[:20], loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure
