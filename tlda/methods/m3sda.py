"""Moment matching for multi-source adaptation."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Output, Pair
from tlda.losses import moment_distance
from tlda.methods.several_sources import Part, SeveralSources
from tlda.nn import SourceHeads


class M3SDA(SeveralSources):
    """Moment matching: the moments of all source domains and the target meet, and a head per source answers (Peng et al., ICCV 2019).

    The answer is the mean of the heads. Left out: the pairs of heads of M3SDA-beta.

    Args:
        trade_off: the weight of the distances of the moments.
        moments: the highest order of the moments.
    """

    setting: ClassVar[str] = "multi-source"
    reads_classes: ClassVar[bool] = True

    def __init__(self, *, trade_off: float = 0.05, moments: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.moments = trade_off, moments
        self.network.replace_head(SourceHeads(self.task.head(self.num_features) for _ in self.task.sources))

    @property
    def batch_type(self) -> type:
        return Pair

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        parts = [part._replace(output=part.output._replace(logits=self.own_logits(part))) for part in self.parts(batch, source)]
        moments = moment_distance([*(part.output.features for part in parts), target.features], self.moments)
        return {"task": self.risks(parts).mean(), "moments": self.trade_off * moments, **self.added(batch, source, target)}

    def own_logits(self, part: Part) -> Tensor:
        """The logits (r, c) of the head of a part's own domain."""
        logits: Tensor = self.head.heads[part.number](part.output.features)
        return logits
