"""Numbers per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from tlda.batch import Inputs, Output
from tlda.errors import UserError
from tlda.metrics.deviations import MAE, R2, RMSE
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class Regression(Task):
    """The numbers ``names`` per row; NaN is a missing label, in each number by itself.

    Head and loss work in units of ``scales`` around ``centres``; metrics and answers are in the unit of the labels.

    Args:
        names: what the numbers are called.
        units: the unit of each, for print; by default none.
        centres: the value of each that the head calls 0; by default 0.
        scales: the difference in each that the head calls 1; by default 1.

    Raises:
        UserError: no names, or units, centres or scales of another count; a scale that is not above 0.
    """

    names: Sequence[str]
    units: Sequence[str] = ()
    centres: Sequence[float] = ()
    scales: Sequence[float] = ()
    headline: ClassVar[str] = "rmse"

    def __post_init__(self) -> None:
        if not self.names:
            raise UserError("a regression needs the name of at least one number")
        for option in ("units", "centres", "scales"):
            if len(getattr(self, option)) not in (0, len(self.names)):
                raise UserError(f"a regression of {len(self.names)} numbers has {len(getattr(self, option))} {option}: give one for each")
        if any(not scale > 0 for scale in self.scales):
            raise UserError(f"the scales of a regression are {list(self.scales)}: each must be above 0")

    @property
    def outputs(self) -> Sequence[str]:
        return self.names

    def known(self, y: Tensor) -> Tensor:
        return ~y.isnan() if y.ndim == 1 else ~y.isnan().all(1)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean squared error, in squared ``scales``, over all numbers that are known."""
        error, known = self._error(logits, y)
        return error.sum() / known.sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        error, known = self._error(logits, y)
        return error.sum(1) / known.sum(1).clamp_min(1)

    def _error(self, logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The squared error of each number, 0 where it is unknown, and which are known; (r, n) each."""
        centre, scale = self._units(logits)
        wanted = (y.view(len(y), -1).to(scale) - centre) / scale
        known = ~wanted.isnan()
        return (logits.float() - torch.where(known, wanted, logits.detach().float())).square(), known

    def _units(self, like: Tensor) -> tuple[Tensor, Tensor]:
        count = len(self.names)
        centre, scale = (list(given) or [default] * count for given, default in ((self.centres, 0.0), (self.scales, 1.0)))
        return torch.tensor(centre, device=like.device), torch.tensor(scale, device=like.device)

    def values(self, logits: Tensor) -> Tensor:
        """The numbers (r, n) that logits (r, n) stand for, in the unit of the labels."""
        centre, scale = self._units(logits)
        return logits.float() * scale + centre

    def metrics(self, place: Place) -> dict[str, Metric]:
        each = enumerate(self.names if len(self.names) > 1 else ())
        columns = {f"rmse_{name}": RMSE(self.values, column) for column, name in each}
        return {"rmse": RMSE(self.values), "mae": MAE(self.values), "r2": R2(self.values), **columns}

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        return dict(zip(self.names, self.values(output.logits).T.tolist(), strict=True))
