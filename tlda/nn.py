"""Building blocks of losses and methods: gradient reversal, critics, the multilinear map."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.coefficient * grads[0], None


def reverse_gradient(x: Tensor, coefficient: float = 1.0) -> Tensor:
    """The identity whose gradient is multiplied by ``-coefficient`` (Ganin et al., JMLR 2016, eq. 17-18)."""
    reversed_: Tensor = _Reversal.apply(x, coefficient)
    return reversed_


def critic(num_inputs: int, hidden: int = 1024, dropout: float = 0.0) -> nn.Sequential:
    """A domain critic with two hidden layers: (n, ``num_inputs``) to (n, 1), the logit of "this is source"."""
    layers: list[nn.Module] = []
    for width in (num_inputs, hidden):
        layers += [nn.Linear(width, hidden), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(hidden, 1))


class MultilinearMap(nn.Module):
    """Features x predictions, flattened (Long et al., NeurIPS 2018, eq. 5), or a random projection of it (eq. 6).

    Inputs (n, d) and (n, c); the output is (n, d * c), or (n, ``max_features``) where d * c is larger than that.
    """

    project_features: Tensor
    project_classes: Tensor

    def __init__(self, num_features: int, num_classes: int, max_features: int = 4096) -> None:
        super().__init__()
        self.randomized = num_features * num_classes > max_features
        self.num_features = max_features if self.randomized else num_features * num_classes
        if self.randomized:
            self.register_buffer("project_features", torch.randn(num_features, max_features))
            self.register_buffer("project_classes", torch.randn(num_classes, max_features) / max_features**0.5)

    def forward(self, features: Tensor, predictions: Tensor) -> Tensor:
        if self.randomized:
            return (features @ self.project_features) * (predictions @ self.project_classes)
        return (predictions.unsqueeze(2) * features.unsqueeze(1)).flatten(1)


class TwoHeads(nn.Module):
    """Two classifiers with a hidden layer each and ``dropout`` before each layer.

    ``forward`` is their mean, :meth:`both` gives them apart.
    """

    def __init__(self, num_features: int, hidden: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()

        def noise() -> list[nn.Module]:
            return [nn.Dropout(dropout)] if dropout else []

        layers = ([*noise(), nn.Linear(num_features, hidden), nn.ReLU(), *noise(), nn.Linear(hidden, num_classes)] for _ in range(2))
        self.first, self.second = (nn.Sequential(*head) for head in layers)

    def both(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of either classifier, (n, classes) each."""
        return self.first(features), self.second(features)

    def forward(self, features: Tensor) -> Tensor:
        first, second = self.both(features)
        return (first + second) / 2


class Snapshot(nn.Module):
    """A copy of ``modules``, one after the other, that does not learn; it is used as in evaluation, whatever the trainer says.

    It is the one that :meth:`take` made last, which ``taken`` remembers, in checkpoints too; until then that of the beginning.
    """

    taken: Tensor

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.copy = copy.deepcopy(nn.Sequential(*modules)).requires_grad_(False)
        self.register_buffer("taken", torch.tensor(False))

    def take(self, *modules: nn.Module) -> None:
        """Become what ``modules``, of the same kinds, are now."""
        self.copy.load_state_dict(nn.Sequential(*modules).state_dict())
        self.taken.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.copy.eval()(x)
        return output


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


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the hardware of ``device`` multiplies in bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
