"""Some images of both domains, as they were read and as a training step sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tlda.batch import Pair, Unlabelled
from tlda.data.augmenting import as_floats
from tlda.data.pair import DomainPair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = 8
"""The images of each domain that are shown."""

LABELS = ("source", "augmented", "target", "augmented")
"""The labels of the rows of the figure."""


@torch.no_grad()
def sample_images(data: DomainPair) -> list[Tensor]:
    """Images (n, c, h, w) in 0..1 of the training rows, on the CPU, as :data:`LABELS` has them; nothing where the inputs are no images.

    They are drawn with random numbers of their own, so that those of the run stay as they are.
    """
    source, target = (domain.train for domain in data.loaded)
    rows = [torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:IMAGES] for rows in (source, target)]
    first, second = source[rows[0]], target[rows[1]]
    if getattr(first.x, "ndim", 0) != 4:
        return []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        changed = [domain.x for domain in data.augmented(Pair(first, Unlabelled(second.x, second.row, second.domain)))]
    shown = (as_floats(first.x), changed[0], as_floats(second.x), changed[1])
    return [images.float().clamp(0, 1).cpu() for images in shown]


def samples_figure(images: list[Tensor]) -> Figure:
    """A matplotlib figure of :func:`sample_images`, a row each."""
    from matplotlib.figure import Figure

    columns = max(map(len, images))
    figure = Figure(figsize=(1.2 * columns + 0.8, 1.25 * len(images)), layout="constrained")
    grid = figure.subplots(len(images), columns, squeeze=False)
    for axes, row, label in zip(grid, images, LABELS, strict=True):
        for place, each in enumerate(axes):
            each.set(xticks=[], yticks=[])
            if place < len(row):
                shown = row[place].permute(1, 2, 0).numpy()
                each.imshow(shown[..., 0] if shown.shape[2] != 3 else shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            else:
                each.set_visible(False)
        axes[0].set_ylabel(label)
    return figure
