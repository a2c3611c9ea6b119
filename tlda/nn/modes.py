"""Contexts in which a part of a network is without noise, statistics or gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def without_statistics(module: nn.Module) -> AbstractContextManager[None]:
    """Within, BatchNorm's running statistics in ``module`` stay as they are; it normalises as before."""
    return _off("track_running_stats", (m for m in module.modules() if isinstance(m, _BatchNorm)))


def without_noise(module: nn.Module) -> AbstractContextManager[None]:
    """Within, ``module`` has no dropout nor any other noise of training; BatchNorm normalises as before."""
    # Whatever is random looks at this flag, in layers of others too; only BatchNorm looks at it for something else.
    return _off("training", (m for m in module.modules() if not isinstance(m, _BatchNorm)))


def without_gradients(module: nn.Module) -> AbstractContextManager[None]:
    """Within, ``module`` is a fixed function: what goes through it has a gradient, its own parameters have none."""
    return _off("requires_grad", module.parameters())


@contextmanager
def _off(flag: str, parts: Iterable[nn.Module | nn.Parameter]) -> Iterator[None]:
    on = [part for part in parts if getattr(part, flag)]
    for part in on:
        setattr(part, flag, False)
    try:
        yield
    finally:
        for part in on:
            setattr(part, flag, True)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each part is in its own mode again."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training
