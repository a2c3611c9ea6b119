"""torchvision's detectors as heads of maps: their own anchors, losses, and choice of boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from tlda.errors import UserError
from tlda.nn.modes import evaluating

DetectorName = Literal["ssdlite", "fcos", "retinanet", "faster_rcnn"]
"""The detectors by name."""

LEVELS = 3
"""The maps that a detector sees: that of the network, and each next one at twice the stride."""

REGION_WIDTH = 1024
"""The features of a proposal that torchvision's Faster R-CNN tells its class and box from."""


class RegionHead(nn.Module):
    """A detector of torchvision on maps of features, which stands behind any network of positions in place of its own.

    SSDlite (Sandler et al., CVPR 2018, sec. 6.2), FCOS (Tian et al., ICCV 2019), RetinaNet (Lin et al., ICCV 2017) or Faster R-CNN (Ren et
    al., NeurIPS 2015), with torchvision's losses, thresholds and non-maximum suppression; the heads of RetinaNet are normalised by groups,
    as those of FCOS and of torchvision's second RetinaNet. Each next of :data:`LEVELS` maps is every second position of the one before, as
    FPN's last level. Anchors are as large beside the stride as theirs.

    Args:
        detector: its name.
        width: the number of features.
        stride: the distance of two positions in pixels.
        classes: the number of classes.
        most: the most boxes of an image.

    Raises:
        UserError: FCOS or RetinaNet on a number of features that their groups of 32 do not divide.
    """

    def __init__(self, detector: DetectorName, width: int, stride: int, classes: int, most: int) -> None:
        super().__init__()
        if detector in ("fcos", "retinanet") and width % 32:
            raise UserError(f"{detector} has groups of 32 features, and the network {width}: give --model.backbone.width 64")
        self.detector, self.most = detector, most
        self.model: Any = _made(detector, width, stride, classes + 1, most)
        self.model.transform = _AsTheyAre()

    def forward(self, features: Tensor, x: Tensor, maps: Tensor) -> Tensor:
        """The boxes of images ``x``, (n, most, 6): class, score, left, top, right and bottom in pixels, the best first, then zeros.

        In training there are none yet, and the output is rows of nothing: see :meth:`losses`.
        """
        if self.training:
            return features[:, :0]
        found = [
            torch.cat(((one["labels"] - 1)[:, None].float(), one["scores"][:, None], one["boxes"]), 1) for one in self._run(maps, x, None)
        ]
        return torch.stack([pad(one[: self.most], (0, 0, 0, self.most - len(one[: self.most]))) for one in found])

    def losses(self, maps: Tensor, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """The detector's own losses by name, of ``maps`` (n, d, h, w) of images ``x`` with boxes ``y`` (n, k, 5)."""
        kept = [boxes[boxes[:, 0] >= 0] for boxes in y]
        found: dict[str, Tensor] = self._run(maps, x, [{"labels": boxes[:, 0].long() + 1, "boxes": boxes[:, 1:]} for boxes in kept])
        return found

    def regions(self, maps: Tensor, x: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """What the last layers of Faster R-CNN see of its best proposals, (r, :data:`REGION_WIDTH`), and each one's image, numbers (r,).

        Args:
            maps: of images ``x``, (n, d, h, w).
            x: the images.
            most: the most proposals of an image.
        """
        from torchvision.models.detection.image_list import ImageList

        found, sizes = levels(maps.float()), [(x.shape[-2], x.shape[-1])] * len(x)
        with torch.autocast(x.device.type, enabled=False):
            with evaluating(self.model.rpn):
                proposals = [boxes[:most] for boxes in self.model.rpn(ImageList(x, sizes), found)[0]]
            pooled = self.model.roi_heads.box_roi_pool(found, proposals, sizes)
            of = torch.arange(len(x), device=x.device).repeat_interleave(torch.tensor([len(boxes) for boxes in proposals], device=x.device))
            return self.model.roi_heads.box_head(pooled), of

    def _run(self, maps: Tensor, x: Tensor, targets: list[dict[str, Tensor]] | None) -> Any:
        """What torchvision's model gives of ``maps``: losses with ``targets``, else boxes; in float32, which its suppression needs."""
        with torch.autocast(x.device.type, enabled=False):
            self.model.backbone.levels = levels(maps.float())
            try:
                return self.model(list(x.float()), targets)
            finally:
                self.model.backbone.levels = {}


class _Given(nn.Module):
    """In place of a detector's own network: the maps that it is given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_channels, self.levels = width, dict[str, Tensor]()

    def forward(self, x: Tensor) -> Mapping[str, Tensor]:
        return self.levels


class _AsTheyAre(nn.Module):
    """In place of a detector's own scaling: images as they are, which are of one size and normalised by their network."""

    def forward(self, images: Sequence[Tensor], targets: object) -> tuple[object, object]:
        from torchvision.models.detection.image_list import ImageList

        return ImageList(torch.stack(list(images)), [(x.shape[-2], x.shape[-1]) for x in images]), targets

    def postprocess(self, found: object, shapes: object, own: object) -> object:
        """Boxes as they are."""
        return found


def levels(maps: Tensor) -> dict[str, Tensor]:
    """Maps (n, d, h, w) and every second position of each before, by number, :data:`LEVELS` in all."""
    found = {"0": maps}
    for number in range(1, LEVELS):
        found[str(number)] = max_pool2d(found[str(number - 1)], 1, 2)
    return found


def disagreement(positions: Tensor, regions: Tensor, of: Tensor) -> Tensor:
    """How far the domain of a region is from that of its image, the mean over regions (Chen et al., CVPR 2018, eq. 9, there a sum).

    Args:
        positions: the probability of "source" of each position of the images, (n, p).
        regions: that of each region, (r,).
        of: the number of each region's image, (r,).

    Example:
        >>> disagreement(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([1.0, 0.5, 0.5]), torch.tensor([0, 0, 1])).item()
        0.3333333432674408
    """
    return (positions.mean(1)[of] - regions).abs().mean()


def _made(detector: DetectorName, width: int, stride: int, classes: int, most: int) -> nn.Module:
    """torchvision's model of ``classes``, the first of which is the background."""
    from torchvision.models.detection import FCOS, FasterRCNN, RetinaNet
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.retinanet import RetinaNetHead
    from torchvision.models.detection.ssd import SSD
    from torchvision.models.detection.ssdlite import SSDLiteHead
    from torchvision.ops import MultiScaleRoIAlign

    strides, ratios = [stride * 2**number for number in range(LEVELS)], ((0.5, 1.0, 2.0),) * LEVELS
    given = _Given(width)
    model: nn.Module
    if detector == "fcos":
        anchors = AnchorGenerator(tuple((each,) for each in strides), ((1.0,),) * LEVELS)
        model = FCOS(given, classes, anchor_generator=anchors, detections_per_img=most)
    elif detector == "retinanet":
        sizes = tuple(tuple(4 * each * 2 ** (part / 3) for part in range(3)) for each in strides)
        boxes = AnchorGenerator(sizes, ratios)
        head = RetinaNetHead(width, boxes.num_anchors_per_location()[0], classes, partial(nn.GroupNorm, 32))
        model = RetinaNet(given, classes, anchor_generator=boxes, head=head, detections_per_img=most)
    elif detector == "faster_rcnn":
        anchors = AnchorGenerator(tuple((8 * each,) for each in strides), ratios)
        pool = MultiScaleRoIAlign([str(number) for number in range(LEVELS)], 7, 2)
        model = FasterRCNN(given, classes, rpn_anchor_generator=anchors, box_roi_pool=pool, box_detections_per_img=most)
    else:
        # Not torchvision's default boxes, whose sizes are shares of the image: of three levels, these are too far apart.
        boxes = AnchorGenerator(tuple((4 * each, 4 * each * 2**0.5) for each in strides), ratios)
        head = SSDLiteHead([width] * LEVELS, boxes.num_anchors_per_location(), classes, nn.BatchNorm2d)
        model = SSD(given, boxes, (1, 1), classes, head=head, detections_per_img=most)
    return model
