"""Some images of both domains, translated and back again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tlda.batch import Sample
from tlda.data.pair import DomainPair
from tlda.translation.cycle import Translator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IMAGES = 12
"""The images of each domain that are shown."""

LABELS = ("source", "in the look of the target", "and back", "target", "in the look of the source", "and back")
"""The labels of the rows of the grid."""


def translator_of(method: nn.Module) -> Translator | None:
    """The translator of ``method``, where it has one that has begun."""
    translator = getattr(method, "translator", None)
    return translator if isinstance(translator, Translator) and bool(translator.judge.taken) else None


@torch.no_grad()
def translation_grid(translator: Translator, data: DomainPair) -> Tensor:
    """Images of both domains, as :data:`LABELS` has them from top to bottom: (3, 6 h, images w) in 0..1, on the CPU."""
    device = next(translator.parameters()).device
    count = min(IMAGES, *map(len, data.evaluation_rows))
    source, target = (_some(data, rows, count).to(device) for rows in data.evaluation_rows)
    there, back = translator(source), translator.back(target)
    rows = (source, there, translator.back(there), target, back, translator(back))
    return torch.cat([torch.cat(list(row), 2) for row in rows], 1).expand(3, -1, -1).clamp(0, 1).float().cpu()


def _some(data: DomainPair, rows: Any, count: int) -> Tensor:
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]
    sample: Sample = data.prepare(rows[chosen])
    return sample.x


def translation_figure(grid: Tensor) -> Figure:
    """A matplotlib figure of a :func:`translation_grid`."""
    from matplotlib.figure import Figure

    height, width = grid.shape[1:]
    figure = Figure(figsize=(10, 10 * height / width), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid.permute(1, 2, 0).numpy(), interpolation="nearest")
    side = height / len(LABELS)
    axes.set_yticks([side * (i + 0.5) - 0.5 for i in range(len(LABELS))], LABELS)
    axes.set(xticks=[])
    axes.tick_params(length=0)
    return figure
