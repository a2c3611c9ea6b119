"""Learning rates that fall from the head to the input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import nn

from tlda.errors import UserError
from tlda.finetuning.base import Tuning
from tlda.optim import part_of

if TYPE_CHECKING:
    from tlda.backbones import Backbone


class LayerDecay(Tuning):
    """Discriminative fine-tuning: each block learns at a lower rate than the one after it (ULMFiT; Howard and Ruder, ACL 2018).

    Args:
        factor: the factor on the learning rate from one block to the one before it, and from the head to the last block.
    """

    def __init__(self, factor: float = 0.75) -> None:
        super().__init__()
        if not 0 < factor <= 1:
            raise UserError(f"LayerDecay has factor {factor}: it must lie between 0 and 1")
        self.factor = factor

    def groups(self, backbone: Backbone, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        of_backbone = [part for group in groups if part_of(group) == "backbone" for part in self._by_block(backbone.blocks(), group)]
        return [*of_backbone, *(group for group in groups if part_of(group) != "backbone")]

    def _by_block(self, blocks: list[nn.Module], group: dict[str, Any]) -> Iterator[dict[str, Any]]:
        # What is in no block, such as a position embedding, is as far from the head as the first one.
        index = {id(p): i for i, block in enumerate(blocks) for p in block.parameters()}
        for i in range(len(blocks)):
            params = [p for p in group["params"] if index.get(id(p), 0) == i]
            rate = group["lr_multiplier"] * self.factor ** (len(blocks) - i)
            if params:
                yield {**group, "name": f"{group['name']}.{i}", "params": params, "lr_multiplier": rate}
