"""Draw, by the seed, the rows to hold out and the few labels that a method sees; never a whole class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tlda.errors import UserError, warn


def hold_out(name: str, rows: int, labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """The rows that train and those that are held out, which are in order.

    Rows are drawn without regard to their classes; of a class that would be held out as a whole, one row is then trained on.

    Args:
        name: what errors call the domain.
        rows: how many there are.
        labels: the class of each row, (rows,); labels of any other shape, such as those of words, are not looked at.
        share: of the rows, how many are held out.
        seed: the seed of the draw.

    Raises:
        UserError: no row is left to train on, or to measure.
    """
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    count = max(1, round(share * rows))
    held, train = order[:count], order[count:]
    if _is_one_a_row(labels, rows):
        kept = _one_of_each(held, labels, set(labels[held].tolist()) - set(labels[train].tolist()) - {-1})
        held, train = held[~kept], torch.cat((train, held[kept]))
    if not len(held) or not len(train):
        raise UserError(
            f"'{name}' has {rows} rows, of which --data.holdout {share} leaves none to {'train on' if len(held) else 'measure'}: "
            "choose another share, or give the domain more rows"
        )
    return train, held.sort().values


def shots(rows: int, labels: Tensor, count: int, classes: int, seed: int) -> Tensor:
    """``count`` rows of each class of ``labels`` (rows,), drawn by ``seed``; all of a class that has fewer; of no class, ``count`` rows."""
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    if not _is_one_a_row(labels, rows):
        return order[:count]
    return torch.cat([order[labels[order] == c][:count] for c in range(classes)])


def warn_of_absent(name: str, rows: int, labels: Tensor, classes: Sequence[str]) -> None:
    """Warn where a class has no label among those, (rows,), that are trained on."""
    if not _is_one_a_row(labels, rows):
        return
    there = set(labels.tolist())
    if absent := [c for number, c in enumerate(classes) if number not in there]:
        names = ", ".join(f"'{c}'" for c in absent[:8]) + (f" and {len(absent) - 8} more" if len(absent) > 8 else "")
        warn(f"'{name}' has no row of {names} to train on: no method learns such a class from it")


def _is_one_a_row(labels: Tensor, rows: int) -> bool:
    return labels.ndim == 1 and len(labels) == rows


def _one_of_each(rows: Tensor, labels: Tensor, classes: set[int]) -> Tensor:
    """Which of ``rows`` (n,) is the last of each of ``classes``, (n,)."""
    chosen = torch.zeros(len(rows), dtype=torch.bool)
    for c in classes:
        chosen[(labels[rows] == c).nonzero()[-1]] = True
    return chosen
