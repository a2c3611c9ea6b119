"""One class per row, where rows of the target may be of none of the source's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from tlda.batch import Inputs, Output
from tlda.errors import UserError, near
from tlda.metrics.rejection import REJECTIONS, margin_of, with_unknown
from tlda.metrics.unknown import ClosedAccuracy, HScore, KnownAccuracy, OpenAccuracy, UnknownAccuracy, UnknownAUROC
from tlda.tasks.classification import Classification
from tlda.tasks.place import Place


@dataclass
class OpenSet(Classification):
    """One of ``classes`` per row, of which the last is "unknown": the head has all but that, and training never sees it.

    A method whose logits are one more than the head's classes rejects by the last, and any other by ``rejection``.

    Args:
        classes: the names of the classes of the source, and that of the unknown rows.
        scores: none.
        rejection: the rule that rejects, one of :data:`tlda.metrics.rejection.REJECTIONS`.

    Raises:
        UserError: fewer than two classes of the source; another score; an unknown rule.
    """

    rejection: str = "entropy"

    headline: ClassVar[str] = "h_score"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.classes) < 3:
            raise UserError(f"the source has only the class {list(self.outputs)}: a classifier needs two; look at --data.classes")
        if self.scores:
            raise UserError(f"{list(self.scores)} are no scores where the target has unknown classes: leave them out")
        if self.rejection not in REJECTIONS:
            raise UserError(f"there is no rule '{self.rejection}' that rejects{near(self.rejection, REJECTIONS)}")

    @property
    def outputs(self) -> Sequence[str]:
        return self.classes[:-1]

    @property
    def label_names(self) -> Sequence[str]:
        return self.outputs

    def scored(self, logits: Tensor) -> Tensor:
        """Logits (r, k + 1) whose greatest is the answer, the unknown one last, of logits (r, k) or (r, k + 1)."""
        # In double precision, or the most certain rows would have one score.
        logits = logits.double()
        return logits if logits.shape[1] > len(self.outputs) else with_unknown(logits, REJECTIONS[self.rejection].margin(logits))

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        return super().loss(logits, self._learnt(y))

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(logits, self._learnt(y), ignore_index=-1, reduction="none")

    def _learnt(self, y: Tensor) -> Tensor:
        """The labels, of which those of unknown rows are missing: also an upper bound learns the classes of the source alone."""
        return y.where(y < len(self.outputs), -1)

    def metrics(self, place: Place) -> dict[str, Metric]:
        known = len(self.outputs)
        closed: dict[str, Metric] = {"accuracy": ClosedAccuracy(known)}
        if place.role == "source":
            return closed
        rates = {"h_score": HScore(known), "os_star": KnownAccuracy(known), "unk": UnknownAccuracy(known), "os": OpenAccuracy(known)}
        return {**rates, "unknown_auroc": UnknownAUROC(), **closed}

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        logits = self.scored(output.logits)
        found = super().answers(Output(output.features, logits), x)
        return {**found, "unknown_score": margin_of(logits).tolist()}
