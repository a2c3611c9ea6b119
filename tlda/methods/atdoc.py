"""An auxiliary target-domain-oriented classifier."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Output, Pair, Unlabelled
from tlda.losses import MemoryBank, neighborhood_aggregation
from tlda.losses.neighborhood_aggregation import sharpened
from tlda.methods.source_only import SmoothedMethod
from tlda.nn import evaluating
from tlda.training.target import target_numbers


class ATDOC(SmoothedMethod):
    """The nearest rows of the whole target, kept in a memory bank, give its pseudo-labels (ATDOC-NA; Liang et al., CVPR 2021).

    The bank fills as rows are seen, by an evaluation of each batch as in the authors' code, but before the step, so that any
    checkpoint has it all: 2 bytes a feature and 4 a class for each row. Several processes write the rows of all: their banks are one.

    Args:
        trade_off: the weight of the pseudo-labels' cross-entropy at the end of the run, to which it grows linearly from 0.
        neighbours: how many rows make a pseudo-label.
        temperature: sharpens the predictions in the bank; 1 leaves them.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    pairs_rows: ClassVar[bool] = True
    whole_inputs: ClassVar[str] = "keeps a memory of each row"

    def __init__(self, *, trade_off: float = 0.2, neighbours: int = 5, temperature: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.neighbours, self.temperature = trade_off, neighbours, temperature
        self.bank = MemoryBank(self.num_features, len(self.task.outputs))

    @property
    def batch_type(self) -> type:
        return Pair

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.bank.clear(target_numbers(self))

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        bank = self.bank.features, self.bank.predictions
        loss = neighborhood_aggregation(target.logits, target.features, batch.target.row, *bank, self.neighbours)
        self.remember(batch.target)
        return {**super().objective(batch, source, target), "neighbourhood": self.trade_off * self.progress * loss}

    def remember(self, target: Unlabelled) -> None:
        """Write what the network says of a batch, and of those of all processes, into the bank."""
        with evaluating(self):
            seen: Any = self.all_gather((target.row, *self(target.x)))
        rows, features, logits = (part.flatten(0, -dims) for part, dims in zip(seen, (1, 2, 2), strict=True))
        self.bank.update(rows, features, sharpened(logits, self.temperature))
