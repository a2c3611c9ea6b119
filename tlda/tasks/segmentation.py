"""One class per pixel of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchmetrics import Metric

from tlda.batch import Inputs, Output, Sample
from tlda.inputs import as_maps, map_size, require_positions
from tlda.metrics.overlap import Dice, MeanIoU
from tlda.tasks.base import Task
from tlda.tasks.classification import Classification
from tlda.tasks.place import Place

KEPT = 64
"""The positions of an image that label-free validators keep: those of a whole epoch would fill the memory."""


@dataclass
class Segmentation(Classification):
    """One of ``classes`` per pixel; a label of -1 is void: it trains nothing, and is not measured.

    A row is a position at the stride of the network (:class:`tlda.backbones.Dense`), in training with the label of the pixel in its
    middle. In evaluation labels are maps (n, h, w) of all pixels, to whose size the logits are brought, bilinearly.

    Args:
        max_rows: the most positions of a domain that a loss sees which compares all pairs of rows, such as MMD; null for all.
        window: the height and width of the windows by which a network answers for larger images (:func:`tlda.inputs.windowed`).
    """

    max_rows: int | None = 512
    window: Sequence[int] | None = None

    headline: ClassVar[str] = "mean_iou"
    one_row: ClassVar[bool] = False

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy, in nats, of the logits (r, c) of positions to their labels (r,)."""
        require_positions(logits, y)
        return super().loss(logits, y)

    def metrics(self, place: Place) -> dict[str, Metric]:
        """The mean intersection over union, pixel accuracy, and of two classes the Dice coefficient of the second."""
        dice: dict[str, Metric] = {"dice": Dice()} if len(self.classes) == 2 else {}
        return {"mean_iou": MeanIoU(len(self.classes)), **super().metrics(place), **dice}

    def pixels(self, logits: Tensor, x: Tensor) -> Tensor:
        """The logits (n, c, h, w) of every pixel of images ``x`` (n, channels, h, w), from those of positions (r, c)."""
        return interpolate(as_maps(self.scored(logits), x).float(), x.shape[-2:], mode="bilinear")

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        """The logits of all pixels (n * h * w, c) with their labels; the features stay those of positions."""
        logits = self.pixels(output.logits, batch.x).permute(0, 2, 3, 1).flatten(0, 2)
        each = len(logits) // len(batch.x)
        row, domain = (part.expand(len(batch.x)).repeat_interleave(each) for part in (batch.row, batch.domain))
        yield "", output._replace(logits=logits), batch._replace(y=batch.y.flatten(), row=row, domain=domain)

    def sampled(self, output: Output, batch: Sample) -> tuple[Output, Sample]:
        """:data:`KEPT` positions of each image, the same of all, with the logits and the labels of the pixels in their middle."""
        height, width = map_size(len(output.features), batch.x)
        stride, wide = batch.x.shape[-2] // height, batch.x.shape[-1]
        places = torch.randperm(height * width, generator=torch.Generator().manual_seed(0))[:KEPT].to(batch.x.device)
        first = torch.arange(len(batch.x), device=batch.x.device)[:, None]
        line, column = (stride * place + stride // 2 for place in (places // width, places % width))
        position = (first * height * width + places).flatten()
        pixel = (first * batch.x.shape[-2] * wide + line * wide + column).flatten()
        return Output(output.features[position], output.logits[pixel]), batch._replace(y=batch.y[pixel])

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        """The map of the predicted classes of each image, bytes (h, w), and the fraction of its pixels that each class has."""
        assert isinstance(x, Tensor)
        maps = self.pixels(output.logits, x).argmax(1)
        counts = torch.stack([(maps == number).float().mean((1, 2)) for number in range(len(self.classes))])
        shares = {f"share_{name}": column for name, column in zip(self.classes, counts.tolist(), strict=True)}
        return {"mask": list(maps.byte().cpu().numpy()), **shares}


def sampled(task: Task, output: Output, batch: Sample) -> tuple[Output, Sample]:
    """The rows of an output of ``task`` that validators keep: those of :meth:`Segmentation.sampled`, or all."""
    return task.sampled(output, batch) if isinstance(task, Segmentation) else (output, batch)
