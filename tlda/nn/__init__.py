"""Building blocks of networks, losses and methods. Nothing in here knows of a method, a batch or a trainer."""

from tlda.nn.autocast import convolutions_in_float32
from tlda.nn.averages import MovingAverage, rising
from tlda.nn.discriminators import MultilinearMap, TwoHeads, critic
from tlda.nn.gates import reverse_gradient
from tlda.nn.hardware import computes_in_bfloat16
from tlda.nn.inner_steps import inner_steps
from tlda.nn.modes import evaluating, without_gradients, without_noise, without_statistics
from tlda.nn.normalisation import BatchNormUse, affine_parameters, batch_norms, by_batch_statistics, one_by_one, use_batch_statistics
from tlda.nn.projectors import projector
from tlda.nn.snapshots import Snapshot
from tlda.nn.source_heads import SourceHeads
from tlda.nn.statistics import mixed_statistics

__all__ = [
    "BatchNormUse",
    "MovingAverage",
    "MultilinearMap",
    "Snapshot",
    "SourceHeads",
    "TwoHeads",
    "affine_parameters",
    "batch_norms",
    "by_batch_statistics",
    "computes_in_bfloat16",
    "convolutions_in_float32",
    "critic",
    "evaluating",
    "inner_steps",
    "mixed_statistics",
    "one_by_one",
    "projector",
    "reverse_gradient",
    "rising",
    "use_batch_statistics",
    "without_gradients",
    "without_noise",
    "without_statistics",
]
