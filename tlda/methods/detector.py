"""torchvision's detectors, with their own losses."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Output, Supervised, Takes
from tlda.errors import UserError
from tlda.inputs import as_maps
from tlda.method import Method
from tlda.nn.region_head import DetectorName, RegionHead
from tlda.tasks import Detection


class Detector(Method):
    """A detector of torchvision on a network of positions, by its own losses (:class:`tlda.nn.region_head.RegionHead`).

    Losses that compare features see the positions of the network's map, as ``DomainAdversarial`` under ``plus``: the image level of Chen
    et al. (CVPR 2018, sec. 4.2.1). The data give boxes as labels: ``--data.stride null``.

    Args:
        detector: ``ssdlite``, ``fcos``, ``retinanet`` or ``faster_rcnn``.
    """

    takes: ClassVar[Takes] = "images"

    def __init__(self, *, detector: DetectorName = "fcos", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        stride: Any = getattr(self.backbone, "stride", None)
        if not isinstance(self.task, Detection) or stride is None:
            given = type(self.backbone if isinstance(self.task, Detection) else self.task).__name__
            raise UserError(f"{type(self).__name__} finds boxes on maps, and {given} has none: give it data such as Boxes, and Dense")
        self.network.replace_head(RegionHead(detector, self.num_features, stride, len(self.task.names), self.task.most))

    def objective(self, batch: Supervised, source: Output, target: Output) -> dict[str, Tensor]:
        return {**self.detected(batch, source), **self.added(batch, source, target)}

    def source_objective(self, batch: Supervised, source: Output) -> dict[str, Tensor]:
        return {**self.detected(batch, source), **self.added(batch, source, None)}

    def detected(self, batch: Supervised, source: Output) -> dict[str, Tensor]:
        """The detector's own losses on the first domain of a ``batch``, by name."""
        own: Any = batch[0]
        if own.y.ndim != 3:
            raise UserError(f"{type(self).__name__} learns boxes, and the labels are of positions: give --data.stride null")
        head: Any = self.network.head
        found: dict[str, Tensor] = head.losses(as_maps(source.features, own.x), own.x, own.y)
        return found
