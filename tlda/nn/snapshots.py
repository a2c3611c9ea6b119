"""Copies of networks that do not learn."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


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
