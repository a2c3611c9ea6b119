"""Which blocks of a backbone train, counted from the features back to the input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from tlda.batch import Learner
from tlda.errors import UserError
from tlda.finetuning.base import Tuning
from tlda.finetuning.norms import all_but_batch_norm

if TYPE_CHECKING:
    from tlda.backbones import Backbone


class _ByDepth(Tuning):
    """The base of those that train the last blocks of a backbone (:meth:`tlda.backbones.Backbone.blocks`)."""

    freezes: ClassVar[bool] = True

    def trained(self, backbone: Backbone, stage: int) -> Iterable[nn.Parameter]:
        blocks = backbone.blocks()
        if stage >= len(blocks):
            return backbone.parameters()  # also what is in no block, such as a position embedding
        return [parameter for block in blocks[len(blocks) - stage :] for parameter in block.parameters()]


class LinearProbe(_ByDepth):
    """None of the backbone: only what is on top of it learns."""


class LastBlocks(_ByDepth):
    """The last blocks of the backbone.

    Args:
        blocks: how many; all, where there are fewer.
    """

    def __init__(self, blocks: int = 1) -> None:
        super().__init__()
        if blocks < 1:
            raise UserError(f"LastBlocks trains {blocks} blocks: it must be at least 1, or use LinearProbe")
        self.blocks = blocks

    def stage(self, blocks: int, progress: float, epoch: int) -> int:
        return min(self.blocks, blocks)


class Gradual(_ByDepth):
    """Gradual unfreezing: the head alone at first, then one more block at a time, the last one first (ULMFiT; Howard and Ruder, ACL 2018).

    A head without weights of its own, as a language model's, begins with the last block.

    Args:
        until: the share of the run after which all blocks train; they come at equal distances.
        epochs: instead, the epochs between two blocks, 1 in the paper.
    """

    def __init__(self, until: float = 0.5, epochs: int | None = None) -> None:
        super().__init__()
        if not 0 < until <= 1 or (epochs is not None and epochs < 1):
            raise UserError(f"Gradual has until {until}, a share of the run above 0, and epochs {epochs}, a whole number above 0 or null")
        self.until, self.epochs = until, epochs
        self.least: int | None = None

    def stage(self, blocks: int, progress: float, epoch: int) -> int:
        reached = epoch // self.epochs if self.epochs else int(progress / self.until * blocks)
        return min(max(reached, self.least or 0), blocks)

    def apply(self, method: Learner) -> None:
        if self.least is None:
            # A head without weights of its own, as a language model's, leaves nothing to train before the last block does.
            inside = {id(parameter) for parameter in method.network.backbone.parameters()}
            self.least = int(not any(p.requires_grad and id(p) not in inside for p in method.parameters()))
        super().apply(method)


class LPFT(_ByDepth):
    """LP-FT: a linear probe first, then the whole network from that head on, at a lower rate (Kumar et al., ICLR 2022).

    BatchNorm stays as it was pretrained: the statistics of the batches would make other features than those that the head was fitted to.

    Args:
        share: the share of the run that the probe takes.
        factor: the factor on all learning rates after it.
    """

    def __init__(self, share: float = 0.5, factor: float = 0.1) -> None:
        super().__init__()
        if not 0 < share < 1 or factor <= 0:
            raise UserError(f"LPFT has share {share}, which must lie between 0 and 1, and factor {factor}, which must be above 0")
        self.share, self.factor = share, factor

    def stage(self, blocks: int, progress: float, epoch: int) -> int:
        return 0 if progress < self.share else blocks

    def trained(self, backbone: Backbone, stage: int) -> Iterable[nn.Parameter]:
        return all_but_batch_norm(backbone) if stage else ()

    def rate(self, progress: float) -> float:
        return 1.0 if progress < self.share else self.factor
