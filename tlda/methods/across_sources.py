"""Alignment of the source domains with each other."""

from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output, Pair, Sample, SourceBatch, Unlabelled
from tlda.errors import UserError
from tlda.losses import CORAL, Loss
from tlda.methods.several_sources import Part, SeveralSources


class AcrossSources(SeveralSources):
    """Any loss that compares two domains, between each two sources: CORAL or MMD as DomainBed has them (Gulrajani et al., ICLR 2021).

    No target is looked at.

    Args:
        loss: the loss, whose weight is its own; by default CORAL in DomainBed's form.

    Raises:
        UserError: the loss does not compare domains, or has parameters, which would tell the first domain from the second.
    """

    setting: ClassVar[str] = "generalisation"
    least: ClassVar[int] = 2

    def __init__(self, *, loss: Loss | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.compared = loss or CORAL(variant="domainbed")
        self.compared.build(self.num_features, len(self.task.outputs))
        if not self.compared.compares_domains or any(True for _ in self.compared.parameters()):
            raise UserError(
                f"--model.loss is {type(self.compared).__name__}, and AcrossSources takes a distance of two domains, such as CORAL or MMD: "
                "name one; DomainLabels is the adversary of several domains"
            )

    def objective(self, batch: SourceBatch, source: Output, target: Output) -> dict[str, Tensor]:
        parts = self.parts(batch, source)
        distances = [self.distance(batch.source, *pair) for pair in combinations(parts, 2)]
        between = torch.stack(distances).mean() if distances else 0.0 * source.features.sum()
        return {"task": self.risks(parts).mean(), "across": between, **self.added(batch, source, target)}

    def distance(self, rows: Sample, first: Part, second: Part) -> Tensor:
        """The loss of two domains."""
        one, other = (Sample(*(None if x is None else x[part.rows] for x in rows)) for part in (first, second))
        return self.compared.term(Pair(one, Unlabelled(other.x, other.row, other.domain)), first.output, second.output, self.progress)
