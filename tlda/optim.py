"""Schedules and ramps as functions of the run's progress, so that they follow its length, and resume with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer

OptimizerFactory = Callable[[Iterable[Any]], Optimizer]


def ramp(progress: float, gamma: float = 10.0) -> float:
    """From 0 at ``progress`` 0 to nearly 1 at ``progress`` 1: ``2 / (1 + exp(-gamma p)) - 1`` (Ganin et al., JMLR 2016, sec. 5.2.2)."""
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0


class Schedule:
    """A learning-rate schedule: the factor on each group's initial rate at ``progress`` in 0..1."""

    def __call__(self, progress: float) -> float:
        """The factor at ``progress``; constant unless a subclass says otherwise."""
        return 1.0


class Constant(Schedule):
    """The initial rate throughout."""


class Cosine(Schedule):
    """Half a cosine from 1 to ``floor``, after a linear warm-up over the first ``warmup`` share of the run."""

    def __init__(self, floor: float = 0.0, warmup: float = 0.0) -> None:
        self.floor, self.warmup = floor, warmup

    def __call__(self, progress: float) -> float:
        if progress < self.warmup:
            return progress / self.warmup
        rest = (progress - self.warmup) / (1.0 - self.warmup)
        return self.floor + (1.0 - self.floor) * 0.5 * (1.0 + math.cos(math.pi * rest))


class InverseDecay(Schedule):
    """``(1 + alpha p) ** -beta``, the usual schedule of adversarial adaptation (Ganin et al., JMLR 2016, sec. 5.2.2)."""

    def __init__(self, alpha: float = 10.0, beta: float = 0.75) -> None:
        self.alpha, self.beta = alpha, beta

    def __call__(self, progress: float) -> float:
        return float((1.0 + self.alpha * progress) ** -self.beta)


def set_learning_rates(optimizers: Iterable[Optimizer], factor: float) -> None:
    """Give every group ``factor`` times its initial rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor


def build_optimizer(factory: OptimizerFactory, groups: list[dict[str, Any]]) -> Optimizer:
    """An optimizer over named ``groups``, each with the factory's rate times its ``lr_multiplier``."""
    optimizer = factory(groups)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] = group["lr"] * group["lr_multiplier"]
    return optimizer


def adam(params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.0) -> Optimizer:
    """Adam in its fused form, which is as exact and the fastest one on processors and GPUs alike."""
    return torch.optim.Adam(params, lr=lr, weight_decay=weight_decay, fused=True)
