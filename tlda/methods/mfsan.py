"""A space and a classifier of its own for each source domain."""

from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tlda.batch import Output, Pair
from tlda.losses import classifier_discrepancy, mmd
from tlda.methods.several_sources import Part, SeveralSources
from tlda.nn import SourceHeads
from tlda.optim import ramp


class MFSAN(SeveralSources):
    """Each source domain meets the target in a space of its own, and the classifiers of all agree on it (Zhu et al., AAAI 2019).

    The answer is the mean of the classifiers' probabilities.

    Args:
        trade_off: the weight of the discrepancies and of the disagreement at full ramp.
        width: the width of each source's own space.
    """

    setting: ClassVar[str] = "multi-source"
    reads_classes: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 1.0, width: int = 256, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off = trade_off
        self.network.replace_head(SourceHeads(self.branch(width) for _ in self.task.sources))

    @property
    def batch_type(self) -> type:
        return Pair

    def branch(self, width: int) -> nn.Module:
        """The layers of one source domain: a space of ``width`` features, and its classifier."""
        return nn.Sequential(nn.Linear(self.num_features, width), nn.ReLU(), self.task.head(width))

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        meetings = [self.meeting(part, target) for part in self.parts(batch, source)]
        parts = [part._replace(output=own) for part, (own, _) in zip(self.parts(batch, source), meetings, strict=True)]
        weight = self.trade_off * ramp(self.progress)
        apart = [classifier_discrepancy(one.logits, other.logits) for (_, one), (_, other) in combinations(meetings, 2)]
        return {
            "task": self.risks(parts).mean(),
            "discrepancy": weight * torch.stack([mmd(own.features, other.features) for own, other in meetings]).mean(),
            "disagreement": weight * torch.stack(apart or [target.logits.sum() * 0.0]).mean(),
            **self.added(batch, source, target),
        }

    def meeting(self, part: Part, target: Output) -> tuple[Output, Output]:
        """The output of a part's own branch for its rows, and for those of the target."""
        space, last = self.head.heads[part.number][:-1], self.head.heads[part.number][-1]
        own, other = (space(output.features) for output in (part.output, target))
        return Output(own, last(own)), Output(other, last(other))
