"""Draw, by the seed, the rows to hold out and the few labels that a method sees; never a whole class."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

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


def list_at(place: str) -> Path:
    """The list of images at ``place``, or there in the data root.

    Raises:
        UserError: there is none.
    """
    path = Path(place).expanduser()
    found = path if path.is_file() else Path(os.environ.get("TLDA_DATA") or "data") / path
    if not found.is_file():
        raise UserError(f"--data.labelled: there is no list {place}, nor {found}")
    return found


def listed_rows(path: Path, domain: str, names: Sequence[tuple[str, str]], renamed: Mapping[str, str], classes: Sequence[str]) -> Tensor:
    """The rows that the list at ``path`` names, in its order.

    Args:
        path: a list of ``PATH LABEL``.
        domain: the name of the domain, which must be a part of a path of more than two parts.
        names: the class of each row and the path of its image.
        renamed: what the list may call a class, and its name here.
        classes: the classes; lines of others are left out.

    Raises:
        UserError: an image that is not there, or twice; one of another domain; none of the classes.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    for row, (name, image) in enumerate(names):
        rows.setdefault((name, Path(image).name), []).append(row)
    found = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        parts = Path(line.rsplit(maxsplit=1)[0]).parts if line.strip() else ()
        if len(parts) < 2 or (name := renamed.get(parts[-2], parts[-2])) not in classes:
            continue
        if len(parts) > 2 and domain not in parts:
            raise UserError(f"{path} lists {'/'.join(parts)}, which is not of the target '{domain}': give the list of that domain")
        if len(there := rows.get((name, parts[-1]), [])) != 1:
            raise UserError(f"{path} lists {'/'.join(parts)}, of which the target '{domain}' has {len(there) or 'none'}: it needs one")
        found += there
    if not found or len({*found}) < len(found):
        raise UserError(f"{path} lists {'an image twice' if found else 'no image of ' + ', '.join(classes)}: look at --data.labelled")
    return torch.tensor(found)


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
