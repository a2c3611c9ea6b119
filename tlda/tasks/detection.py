"""Boxes of classes in an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torchmetrics import Metric

from tlda.batch import Inputs, Output, Sample
from tlda.errors import UserError
from tlda.inputs import as_maps, require_positions
from tlda.metrics.average_precision import OVERLAPS, AveragePrecision, matched
from tlda.nn.center_net import answered, decoded, errors, start, suppressed
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class Detection(Task):
    """Boxes of the classes ``names``, by CenterNet (Zhou et al., 2019): a row is a position at the stride of the network, such as
    :class:`tlda.backbones.Dense`, with a logit per class that a box has its centre there, and four numbers of that box.

    In training labels are those of positions (:func:`tlda.nn.center_net.targets`), in evaluation boxes (n, k, 5): class, left, top, right
    and bottom in pixels; a class below 0 is no box, and NaN is no label.

    Args:
        names: the names of the classes.
        max_rows: the most positions of a domain that a loss sees which compares all pairs of rows, such as MMD; null for all.
        most: the most boxes of an image.
        nms: the overlap above which the worse of two found boxes is left out (:func:`tlda.nn.center_net.suppressed`); null for none.

    Raises:
        UserError: there is no class, or a number is out of its range.
    """

    names: Sequence[str]
    max_rows: int | None = 512
    most: int = 100
    nms: float | None = None

    headline: ClassVar[str] = "ap50"
    one_row: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.names or self.most < 1:
            raise UserError(f"a detection has {len(self.names)} classes and at most {self.most} boxes: both are 1 or more")
        if self.nms is not None and not 0 < self.nms < 1:
            raise UserError(f"--data.nms is {self.nms}: it is an intersection over union, above 0 and below 1")

    @property
    def outputs(self) -> Sequence[str]:
        return [*self.names, "width", "height", "right", "down"]

    def head(self, num_features: int) -> nn.Module:
        return start(nn.Linear(num_features, len(self.outputs)))

    def known(self, y: Tensor) -> Tensor:
        return y >= 0 if y.ndim == 1 else ~y.flatten(1).isnan().any(1)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The loss of rows (r, c + 4) to what they are to be (r, c + 5), over the number of centres."""
        require_positions(logits, y)
        return self.risk(logits, y).sum() / y[:, -1].sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        return errors(logits.float(), y)

    def metrics(self, place: Place) -> dict[str, Metric]:
        """AP50 and AP50:95, as COCO has them, over all classes and of each."""
        each = {"": None} | {f"_{one}": number for number, one in enumerate(self.names)}
        kinds = {"ap50": 1, "ap50_95": len(OVERLAPS)}
        return {f"{kind}{one}": AveragePrecision(len(self.names), kinds[kind], only) for kind in kinds for one, only in each.items()}

    def boxes(self, logits: Tensor, x: Tensor) -> Tensor:
        """The boxes (n, most, 6) of images ``x`` (n, channels, h, w), of logits of positions, or as a detector has found them."""
        maps = logits if logits.ndim == 3 else as_maps(logits, x).float()
        return suppressed(maps if logits.ndim == 3 else decoded(maps, x.shape[-2] // maps.shape[-2], self.most), self.nms)

    def views(self, head: nn.Module, output: Output, batch: Sample, place: Place) -> Iterator[tuple[str, Output, Sample]]:
        """The boxes of each image, matched with the true ones."""
        yield "", output._replace(logits=matched(self.boxes(output.logits, batch.x), batch.y)), batch

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        """The boxes of each image, of a score of :data:`tlda.nn.center_net.LEAST` or more, the best first."""
        assert isinstance(x, Tensor)
        return {"boxes": [answered(each, x.shape[-2:], self.names) for each in self.boxes(output.logits, x).cpu()]}
