"""Optimizers by name, and schedules and ramps as functions of the run's progress, so that they follow its length, and resume with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tlda.errors import UserError
from tlda.options.recorded import Recorded


def ramp(progress: float, gamma: float = 10.0) -> float:
    """From 0 at ``progress`` 0 to nearly 1 at ``progress`` 1: ``2 / (1 + exp(-gamma p)) - 1`` (Ganin et al., JMLR 2016, sec. 5.2.2)."""
    return 2.0 / (1.0 + math.exp(-gamma * progress)) - 1.0


class Schedule(Recorded):
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


class LinearDecay(Schedule):
    """The initial rate, then from the share ``start`` of the run on a line to zero, as CycleGAN's (Zhu et al., ICCV 2017, sec. 4)."""

    def __init__(self, start: float = 0.5) -> None:
        if not 0 <= start < 1:
            raise UserError(f"LinearDecay starts at {start}: it is a share of the run, 0 or more and below 1")
        self.start = start

    def __call__(self, progress: float) -> float:
        return min(1.0, (1.0 - progress) / (1.0 - self.start))


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


def named_groups(parts: Mapping[str, nn.Module], multipliers: Mapping[str, float]) -> list[dict[str, Any]]:
    """The parameters of each part by its name, with its learning-rate multiplier; a part without any makes no group.

    A multiplier of a module within a part, such as ``backbone.model``, makes a group of its own; of two the inner one holds.
    """
    if negative := [name for name, factor in multipliers.items() if factor < 0]:
        raise UserError(f"the factor {multipliers[negative[0]]} of lr_multipliers on '{negative[0]}' must be 0 or more")
    groups: dict[str, list[nn.Parameter]] = {}
    keys = {key: (part, parameter) for part, module in parts.items() for key, parameter in module.named_parameters(part)}
    for key, (part, parameter) in keys.items():
        name = max((name for name in (part, *multipliers) if f"{key}.".startswith(f"{name}.")), key=len)
        groups.setdefault(name, []).append(parameter)
    if unknown := [m for m in multipliers if m not in parts and not any(f"{key}.".startswith(f"{m}.") for key in keys)]:
        raise UserError(f"lr_multipliers names {unknown}; a method has {', '.join(parts)}, and modules within them")
    return [{"name": name, "params": params, "lr_multiplier": multipliers.get(name, 1.0)} for name, params in groups.items()]


def part_of(group: dict[str, Any]) -> str:
    """The part of the method that the parameters of ``group`` belong to, such as ``backbone`` of the group ``backbone.model``."""
    return str(group["name"]).partition(".")[0]


class Optim(Recorded):
    """Makes an optimizer from named groups of parameters. Subclass it for an optimizer that is not here.

    Args:
        lr: the learning rate of a group whose ``lr_multiplier`` is 1.
        weight_decay: the weight decay.
    """

    def __init__(self, lr: float = 1e-3, weight_decay: float = 0.0) -> None:
        self.lr, self.weight_decay = lr, weight_decay

    def make(self, groups: list[dict[str, Any]]) -> Optimizer:
        """The optimizer itself, at rate ``lr`` for every group."""
        raise NotImplementedError

    def __call__(self, groups: list[dict[str, Any]]) -> Optimizer:
        """The optimizer, each group at its own initial rate."""
        try:
            optimizer = self.make(groups)
        except ValueError as error:
            raise UserError(f"{type(self).__name__} cannot be made: {error}") from error
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"] = self.lr * group["lr_multiplier"]
        return optimizer


class Adam(Optim):
    """Adam in its fused form, which is as exact, and the fastest one on processors and GPUs alike."""

    def make(self, groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.Adam(groups, lr=self.lr, weight_decay=self.weight_decay, fused=True)


class AdamW(Optim):
    """Adam with decoupled weight decay."""

    def make(self, groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay, fused=True)


class GanAdam(Optim):
    """Adam with little momentum, at the rate at which generators and their critics are trained (Radford et al., ICLR 2016, sec. 4).

    Args:
        lr: the learning rate.
        weight_decay: the weight decay.
        momentum: the share of the gradient's average that is kept at each step; 0.9 makes critics and generators circle each other.
    """

    def __init__(self, lr: float = 2e-4, weight_decay: float = 0.0, momentum: float = 0.5) -> None:
        super().__init__(lr, weight_decay)
        self.momentum = momentum

    def make(self, groups: list[dict[str, Any]]) -> Optimizer:
        return torch.optim.Adam(groups, lr=self.lr, betas=(self.momentum, 0.999), weight_decay=self.weight_decay, fused=True)


class SGD(Optim):
    """Stochastic gradient descent with momentum, as most papers of the field use it.

    Args:
        lr: the learning rate of a group whose ``lr_multiplier`` is 1.
        weight_decay: the weight decay.
        momentum: the momentum.
        nesterov: whether it looks ahead.
    """

    def __init__(self, lr: float = 1e-2, weight_decay: float = 5e-4, momentum: float = 0.9, nesterov: bool = True) -> None:
        super().__init__(lr, weight_decay)
        self.momentum, self.nesterov = momentum, nesterov

    def make(self, groups: list[dict[str, Any]]) -> Optimizer:
        options: dict[str, Any] = {"lr": self.lr, "weight_decay": self.weight_decay, "momentum": self.momentum, "nesterov": self.nesterov}
        return torch.optim.SGD(groups, fused=True, **options)


@contextmanager
def ascended(weights: Sequence[Tensor], gradients: Sequence[Tensor], radius: float) -> Iterator[None]:
    """Within, ``weights`` stand ``radius`` up their ``gradients``, in the L2 norm of all together (Foret et al., ICLR 2021, eq. 2).

    After it they are what they were, bit for bit. A gradient that is needed there is taken within.
    """
    before = [weight.detach().clone() for weight in weights]
    scale = radius / (torch.stack([gradient.norm() for gradient in gradients]).norm() + 1e-12)
    _assign(weights, [weight + scale * gradient for weight, gradient in zip(before, gradients, strict=True)])
    try:
        yield
    finally:
        _assign(weights, before)


@torch.no_grad()
def _assign(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
    # Autocast keeps copies of weights at half precision, which are no longer theirs.
    torch.clear_autocast_cache()
