"""Domain-adaptive neighbourhood clustering via entropy optimisation."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from tlda.batch import Output, Pair
from tlda.losses import MemoryBank, entropy_separation, neighborhood_clustering
from tlda.method import Method
from tlda.nn.cosine_head import CosineHead
from tlda.training.target import target_numbers


class DANCE(Method):
    """Each target row moves to a neighbour or to a class, and becomes more certain or less (Saito et al., NeurIPS 2020).

    The head gives cosines over a temperature, and the domains go through BatchNorm one by one, as in the authors' code. A memory bank has
    the latest features of each row.

    Args:
        trade_off: the weight of both terms.
        margin: how far from log(c) / 2 an entropy must be to be pushed on, in nats.
        temperature: divides the cosines.
    """

    setting: ClassVar[str] = "universal"
    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True
    pairs_rows: ClassVar[bool] = True
    whole_inputs: ClassVar[str] = "keeps a memory of each row"
    batchnorm = "separate"

    def __init__(self, *, trade_off: float = 0.05, margin: float = 0.5, temperature: float = 0.05, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.margin, self.temperature = trade_off, margin, temperature
        self.network.replace_head(CosineHead(self.num_features, len(self.task.outputs), temperature))
        self.bank = MemoryBank(self.num_features, 1)

    @property
    def batch_type(self) -> type:
        return Pair

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            self.bank.clear(target_numbers(self))

    def objective(self, batch: Pair, source: Output, target: Output) -> dict[str, Tensor]:
        seen: Any = self.all_gather((batch.target.row, target.features.detach()))
        rows, features = (part.flatten(0, -dims) for part, dims in zip(seen, (1, 2), strict=True))
        self.bank.update(rows, features, torch.ones_like(rows)[:, None])
        bank = self.bank.features, self.bank.predictions[:, 0] > 0
        clusters = neighborhood_clustering(target.features, batch.target.row, *bank, self.head.weight, self.temperature)
        terms = {"clustering": clusters, "separation": entropy_separation(target.logits, self.margin)}
        return {**super().objective(batch, source, target), **{name: self.trade_off * term for name, term in terms.items()}}
