"""How far a backbone is fine-tuned, under any method."""

from tlda.finetuning.adapters import IA3, LoHa, LoKr, LoRA, merged
from tlda.finetuning.base import Full, Tuning
from tlda.finetuning.depth import LPFT, Gradual, LastBlocks, LinearProbe
from tlda.finetuning.layer_decay import LayerDecay
from tlda.finetuning.norms import BatchNormOnly, FrozenBatchNorm, StochNorm

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
