"""Retrieval across modalities, measured by a test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tlda.batch import Inputs, Output, Sample
from tlda.metrics.retrieval import recalls
from tlda.nn import evaluating
from tlda.training.lightning import data_of
from tlda.training.measured import Measured

AT_A_TIME = 500
"""The inputs that a teacher reads at a time."""


class Retrieving(Measured):
    """A module with a reader of each half of pairs, whose test measures how often one half finds the other.

    ``test/target/recall_at_1`` asks with ``b`` among all measured ``a``; ``test/target/of_a/recall_at_1`` asks with ``a``.
    """

    found: dict[int, list[tuple[Tensor, Tensor]]]

    def read_a(self, x: Inputs) -> Tensor:
        """The features (n, d) of the halves ``a``, in the space in which both are compared."""
        raise NotImplementedError

    def read_b(self, output: Output) -> Tensor:
        """Those of the halves ``b``, of the network's ``output`` for them."""
        raise NotImplementedError

    def on_test_epoch_start(self) -> None:
        super().on_test_epoch_start()
        self.found = {}

    def test_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        output = self.answer(batch.x, self.measures.places[dataloader_idx].role)
        self.found.setdefault(dataloader_idx, []).append((self.read_b(output), batch.row))
        self.log_epoch(self.measures.test(self, batch, output, dataloader_idx))

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()
        data: Any = data_of(self.trainer)
        for number, parts in self.found.items() if hasattr(data, "measured_pairs") and self.trainer.world_size == 1 else ():
            theirs, row = map(torch.cat, zip(*parts, strict=True))
            x, belongs = data.measured_pairs(number, row)
            self.log_epoch(self._recalls(self.measures.places[number].prefix("test"), x, theirs, belongs.to(self.device)))

    def _recalls(self, prefix: str, x: Tensor, theirs: Tensor, belongs: Tensor) -> dict[str, Tensor]:
        """The measures of a place by the names of their curves."""
        with evaluating(self):
            own = torch.cat([self.read_a(part.to(self.device)) for part in torch.split(x, AT_A_TIME)])
        ways = {prefix: (theirs, own), f"{prefix}/of_a": (own, theirs)}
        return {f"{at}/{name}": value for at, pair in ways.items() for name, value in recalls(*pair, belongs, belongs).items()}
