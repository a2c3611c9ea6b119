"""How far a backbone is fine-tuned, under any method."""

from tlda.tuning.adapters import IA3, LoHa, LoKr, LoRA, merged
from tlda.tuning.base import Full, Tuning
from tlda.tuning.depth import LPFT, Gradual, LastBlocks, LinearProbe
from tlda.tuning.layer_decay import LayerDecay
from tlda.tuning.norms import BatchNormOnly, FrozenBatchNorm, StochNorm

__all__ = [
    "IA3",
    "LPFT",
    "BatchNormOnly",
    "FrozenBatchNorm",
    "Full",
    "Gradual",
    "LastBlocks",
    "LayerDecay",
    "LinearProbe",
    "LoHa",
    "LoKr",
    "LoRA",
    "StochNorm",
    "Tuning",
    "merged",
]
