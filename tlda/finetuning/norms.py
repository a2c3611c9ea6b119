"""Fine-tuning of, and by, normalisation layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tlda.errors import UserError
from tlda.finetuning.base import Tuning
from tlda.nn import affine_parameters, batch_norms

if TYPE_CHECKING:
    from tlda.backbones import Backbone


def all_but_batch_norm(backbone: nn.Module) -> list[nn.Parameter]:
    """The parameters of ``backbone`` that are in no BatchNorm."""
    frozen = {id(parameter) for layer in batch_norms(backbone) for parameter in layer.parameters()}
    return [parameter for parameter in backbone.parameters() if id(parameter) not in frozen]


class BatchNormOnly(Tuning):
    """Only the scales and shifts of normalisation layers, and BatchNorm's statistics (Frankle et al., ICLR 2021)."""

    freezes: ClassVar[bool] = True

    def prepare(self, backbone: Backbone) -> None:
        if not affine_parameters(backbone):
            raise UserError(f"BatchNormOnly trains normalisation layers, and {type(backbone).__name__} has none: use another tuning")

    def trained(self, backbone: Backbone, stage: int) -> Iterable[nn.Parameter]:
        return affine_parameters(backbone)


class FrozenBatchNorm(Tuning):
    """The whole backbone but BatchNorm, which keeps its scales, shifts and statistics.

    So do detectors (He et al., Mask R-CNN, ICCV 2017). It matters to adaptation: statistics of the source alone can be far from those of
    the target, and those of the pretraining were made of many kinds of images.
    """

    freezes: ClassVar[bool] = True

    def prepare(self, backbone: Backbone) -> None:
        if not batch_norms(backbone):
            raise UserError(f"FrozenBatchNorm freezes BatchNorm, and {type(backbone).__name__} has none: use another tuning")

    def trained(self, backbone: Backbone, stage: int) -> Iterable[nn.Parameter]:
        return all_but_batch_norm(backbone)


class StochNorm(Tuning):
    """The whole backbone, each channel of BatchNorm normalised by moving statistics now and then (Kou et al., NeurIPS 2020).

    As in the authors' code, a channel's draw is the same for all rows of a batch. Unlike there, the moving statistics have seen the batch
    that they normalise: theirs take it in only afterwards.

    Args:
        probability: that of the moving statistics; with 0 it is BatchNorm.
    """

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise UserError(f"StochNorm has probability {probability}: it must lie between 0 and 1")
        self.probability = probability

    def prepare(self, backbone: Backbone) -> None:
        """Hook each BatchNorm layer that has running statistics, so that some channels are normalised by these in training."""
        layers = [layer for layer in batch_norms(backbone) if layer.running_mean is not None]
        if not layers:
            raise UserError(f"StochNorm changes BatchNorm layers, and {type(backbone).__name__} has none: use another tuning")
        for layer in layers:
            # A hook, so that layers keep their names and kinds, such as those of timm that hold their activation too.
            layer.register_forward_hook(self._mixed)
            # What is without noise has its mode off, and BatchNorm's own says what it normalises by.
            layer.noise = nn.Identity()

    def _mixed(self, layer: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor | None:
        if not (layer.training and layer.noise.training):
            return None
        chosen = torch.rand(output.shape[1], device=output.device) < self.probability
        return torch.where(chosen.view(-1, *[1] * (output.ndim - 2)), moving(layer, inputs), output)


def moving(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    """What ``layer`` makes of ``inputs`` in evaluation mode."""
    layer.training = False
    try:
        # Copies, since a second pass before the backward one changes the statistics that this one needs then.
        statistics = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        output: Tensor = functional_call(layer, statistics, inputs)
    finally:
        layer.training = True
    return output
