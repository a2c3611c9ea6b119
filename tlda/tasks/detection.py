"""Boxes of classes in an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torchmetrics import Metric

from tlda.batch import Inputs, Output, Sample
from tlda.errors import UserError
from tlda.inputs import as_maps
from tlda.metrics.average_precision import OVERLAPS, AveragePrecision, matched
from tlda.tasks.base import Task
from tlda.tasks.center_net import NUMBERS, decoded, focal
from tlda.tasks.place import Place

SIZE_WEIGHT = 0.1
"""The weight of the loss of sizes (CenterNet, sec. 3)."""

START = -2.19
"""The bias of the logits of heat at the start, where a score is 0.1: most positions are no centre (Lin et al., ICCV 2017, sec. 4.1)."""

LEAST = 0.05
"""The least score of a box that is an answer."""


class Found(NamedTuple):
    """A box that was found: its class, its score, and its left, top, width and height as shares of the image's."""

    name: str
    score: float
    left: float
    top: float
    width: float
    height: float


@dataclass
class Detection(Task):
    """Boxes of the classes ``names``, by CenterNet (Zhou et al., *Objects as Points*, 2019): a row is a position at the stride of the
    network (:class:`tlda.backbones.Dense`), with a logit per class that a box has its centre there, and four numbers of that box.

    In training labels are those of positions (:func:`tlda.tasks.center_net.targets`). In evaluation they are boxes (n, k, 5): class, left,
    top, right and bottom in pixels; a class below 0 is no box, and NaN says that nobody labelled the image.

    Args:
        names: the names of the classes.
        max_rows: the most positions of a domain that a loss sees which compares all pairs of rows, such as MMD; null for all.
        most: the most boxes of an image.

    Raises:
        UserError: there is no class, or ``most`` is below 1.
    """

    names: Sequence[str]
    max_rows: int | None = 512
    most: int = 100

    headline: ClassVar[str] = "ap50"
    one_row: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.names or self.most < 1:
            raise UserError(f"a detection has {len(self.names)} classes and at most {self.most} boxes of an image: both are 1 or more")

    @property
    def outputs(self) -> Sequence[str]:
        return [*self.names, "width", "height", "right", "down"]

    def head(self, num_features: int) -> nn.Module:
        head = nn.Linear(num_features, len(self.outputs))
        nn.init.zeros_(head.bias)
        nn.init.constant_(head.bias[: len(self.names)], START)
        return head

    def known(self, y: Tensor) -> Tensor:
        return y >= 0 if y.ndim == 1 else ~y.flatten(1).isnan().any(1)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The loss of rows (r, c + 4) to what they are to be (r, c + 5), over the number of centres."""
        if len(logits) != len(y):
            raise UserError(
                f"the network answers for {len(logits)} positions of a batch, and its labels are of {len(y)}: give --model.backbone Dense, "
                "and its stride as --data.stride"
            )
        return self.risk(logits, y).sum() / y[:, -1].sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        classes, logits = len(self.names), logits.float()
        numbers = l1_loss(logits[:, -NUMBERS:], y[:, classes:-1], reduction="none") * y[:, -1:]
        return focal(logits[:, :classes], y[:, :classes]).sum(1) + SIZE_WEIGHT * numbers[:, :2].sum(1) + numbers[:, 2:].sum(1)

    def metrics(self, place: Place) -> dict[str, Metric]:
        """AP50 and AP50:95, as COCO has them, over all classes and of each."""
        found: dict[str, Metric] = {}
        for name, levels in (("ap50", 1), ("ap50_95", len(OVERLAPS))):
            found[name] = AveragePrecision(len(self.names), levels)
            found |= {f"{name}_{one}": AveragePrecision(len(self.names), levels, number) for number, one in enumerate(self.names)}
        return found

    def boxes(self, logits: Tensor, x: Tensor) -> Tensor:
        """The boxes (n, most, 6) of images ``x`` (n, channels, h, w), of logits of positions: :func:`tlda.tasks.center_net.decoded`."""
        maps = as_maps(logits, x).float()
        return decoded(maps, x.shape[-2] // maps.shape[-2], self.most)

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        """The boxes of each image, matched with the true ones."""
        yield "", output._replace(logits=matched(self.boxes(output.logits, batch.x), batch.y)), batch

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        """The boxes of each image, of a score of :data:`LEAST` or more, the best first."""
        assert isinstance(x, Tensor)
        found = self.boxes(output.logits, x).cpu()
        sides = torch.tensor([x.shape[-1], x.shape[-2]] * 2)
        lines = [[(box[0], box[1], *(box[2:] / sides)) for box in image if box[1] >= LEAST] for image in found]
        return {"boxes": [[self._named(*map(float, line)) for line in image] for image in lines]}

    def _named(self, number: float, score: float, left: float, top: float, right: float, bottom: float) -> Found:
        return Found(self.names[int(number)], score, left, top, right - left, bottom - top)
