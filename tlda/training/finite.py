"""Which term of an objective stopped being finite first."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tlda.errors import UserError


class FiniteWatch:
    """Remembers the first terms that were not finite. On an accelerator it stays there until it is read, so that no step waits."""

    def __init__(self) -> None:
        self.first_bad: dict[tuple[str, ...], Tensor] = {}
        self.found: Tensor | None = None

    def check(self, terms: dict[str, Tensor], total: Tensor, read: bool, when: str) -> None:
        """Raise :class:`UserError` with the names of the ``terms`` that were not finite first, found at ``when``."""
        if culprits := self._culprits(terms, total, read):
            raise UserError(
                f"the loss '{', '.join(culprits)}' is not finite at {when}: "
                "lower the learning rate or its trade_off, or train with --trainer.precision 32"
            )

    def _culprits(self, terms: dict[str, Tensor], total: Tensor, read: bool) -> list[str]:
        """The names, if ``total`` is on the CPU or it is time to ``read``; else none."""
        if total.device.type == "cpu" and math.isfinite(total.item()):
            return []
        names, bad = tuple(terms), ~torch.stack([value.detach().float() for value in terms.values()]).isfinite()
        found = bad.new_zeros(()) if self.found is None else self.found
        # By their names: a step of several optimizers has an objective for each.
        self.first_bad[names] = self.first_bad.get(names, torch.zeros_like(bad)) | (bad & ~found)
        self.found = found | bad.any()
        if total.device.type != "cpu" and not read:
            return []
        pairs = [pair for names, flags in self.first_bad.items() for pair in zip(names, flags.tolist(), strict=True)]
        return [name for name, is_bad in pairs if is_bad]
