"""Domain-adaptive Faster R-CNN."""

from typing import Any

import torch
from torch import Tensor, nn

from tlda.batch import Output, Pair, Supervised
from tlda.inputs import as_maps
from tlda.losses import domain_adversarial
from tlda.methods.detector import Detector
from tlda.nn import critic, reverse_gradient
from tlda.nn.region_head import REGION_WIDTH, disagreement
from tlda.optim import named_groups


class DAFasterRCNN(Detector):
    """Faster R-CNN whose maps and regions hide the domain, of which two discriminators must say the same (Chen et al., CVPR 2018).

    Each has its gradient on the features scaled by ``trade_off``, that of the domain reversed and that of the agreement as it is; the
    discriminators' own losses are not scaled. Regions are the best proposals, found alike in both domains.

    Args:
        trade_off: the coefficient of these gradients on the features; the paper's.
        hidden: the width of the two hidden layers of each discriminator.
        regions: the most regions of an image that are looked at.
    """

    def __init__(self, *, trade_off: float = 0.1, hidden: int = 512, regions: int = 128, **kwargs: Any) -> None:
        super().__init__(detector="faster_rcnn", **kwargs)
        self.trade_off, self.regions = trade_off, regions
        self.critics = nn.ModuleDict({"image": critic(self.num_features, hidden), "region": critic(REGION_WIDTH, hidden)})

    @property
    def batch_type(self) -> type:
        return Pair

    def parameter_groups(self) -> list[dict[str, Any]]:
        own = named_groups({"critics": self.critics}, {"critics": self.lr_multipliers.get("losses", 1.0)})
        return [*super().parameter_groups(), *own]

    def objective(self, batch: Supervised, source: Output, target: Output) -> dict[str, Tensor]:
        return {**super().objective(batch, source, target), **self.adversarial(batch, source, target)}

    def adversarial(self, batch: Supervised, source: Output, target: Output) -> dict[str, Tensor]:
        """The terms of positions, of regions, and of what the two discriminators say of one image, by name."""
        head: Any = self.network.head
        pair: Any = batch
        sides = [(source.features, pair.source.x), (target.features, pair.target.x)]
        found = [head.regions(as_maps(features, x), x, self.regions) for features, x in sides]
        seen = {"image": [features for features, _ in sides], "region": [features for features, _ in found]}
        told = {name: domain_adversarial(*self.told(name, both, self.trade_off)) for name, both in seen.items()}
        image, region = (torch.cat(self.told(name, both, -self.trade_off)).sigmoid() for name, both in seen.items())
        of = torch.cat((found[0][1], found[1][1] + len(sides[0][1])))
        images = sum(len(x) for _, x in sides)
        return {**told, "agreement": disagreement(image.view(images, -1), region, of)}

    def told(self, name: str, features: list[Tensor], reversal: float) -> list[Tensor]:
        """The logits of "source" of a discriminator's inputs (n, d) of either domain, whose gradient is scaled by minus ``reversal``."""
        return [self.critics[name](reverse_gradient(each, reversal)).float().flatten() for each in features]
