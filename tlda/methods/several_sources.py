"""The base class of methods that tell source domains apart."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from tlda.batch import Output, Supervised
from tlda.errors import UserError
from tlda.method import Method
from tlda.optim import named_groups


class Part(NamedTuple):
    """The rows of one source domain in a batch: its number, which ``rows`` (r,) of the batch they are, their output and labels."""

    number: int
    rows: Tensor
    output: Output
    labels: Tensor


class SeveralSources(Method, ABC):
    """The base of methods that tell the pooled source domains apart, by the numbers that the rows of a batch carry."""

    several_sources: ClassVar[bool] = True
    least: ClassVar[int] = 1
    """How many rows of a domain the method needs: a domain with fewer in a batch is left out of that step."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.own = nn.ModuleDict()  # what a method trains beside its network and its losses

    def parameter_groups(self) -> list[dict[str, Any]]:
        own = named_groups({"own": self.own}, {"own": self.lr_multipliers.get("losses", 1.0)})
        return [*super().parameter_groups(), *own]

    def parts(self, batch: Supervised, output: Output) -> list[Part]:
        """The rows of each source domain that has enough of them in ``batch``, whose ``output`` is given."""
        domain, labels = batch[0].domain, batch[0].y
        found = [(number, (domain == number).nonzero().flatten()) for number in range(len(self.task.sources))]
        return [Part(n, rows, Output(*(x[rows] for x in output)), labels[rows]) for n, rows in found if len(rows) >= self.least]

    def risks(self, parts: list[Part]) -> Tensor:
        """The task loss of each of ``parts``, (k,)."""
        if not parts:
            raise UserError(
                f"a batch has {self.least} rows of no source domain, which {type(self).__name__} needs: raise --data.batch_size, or give "
                "--data.balanced domains"
            )
        return torch.stack([self.task_loss(part.output.logits, part.labels) for part in parts])
