"""Tables to numbers: missing values, categories and scale, fitted on the source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlda.data.tabular.sheets import Sheet
from tlda.errors import UserError, near

MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
"""The texts that mean a missing value in any column, in small letters."""

Floats = NDArray[np.float64]
Standardise = Literal["source", "each", "none"]


@dataclass(frozen=True)
class Encoding:
    """How the columns of a table become numbers; see :class:`~tlda.data.tabular.table_pair.Tabular`."""

    columns: Sequence[str] | None = None
    drop: Sequence[str] = ()
    categories: Sequence[str] = ()
    missing: Mapping[str, Sequence[str | int | float]] = field(default_factory=dict)
    standardise: Standardise = "source"
    decimal: str = "."


class Encoded(NamedTuple):
    """The rows of both domains as numbers, (n, d) and (m, d) in float32, and the name of each of the d columns."""

    source: NDArray[np.float32]
    target: NDArray[np.float32]
    names: list[str]


def number(text: str, decimal: str = ".") -> float | None:
    """The finite number that ``text`` is, with a ``decimal`` point or comma; None where it is none."""
    try:
        value = float(text.replace(decimal, ".") if decimal != "." else text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text else None


def canonical(text: str, decimal: str = ".") -> str:
    """The name of a category or class: numbers that are equal have one, so that ``1.0`` is ``1``."""
    value = number(text, decimal)
    return text if value is None else f"{value:.12g}"


def is_missing(text: str, marks: Sequence[str | int | float] = (), decimal: str = ".") -> bool:
    """Whether ``text`` is no value: one of :data:`MISSING`, or of the ``marks`` of its column, which as numbers are equal too."""
    return text.lower() in MISSING or (bool(marks) and canonical(text, decimal) in {canonical(str(mark), decimal) for mark in marks})


def encode(source: Sheet, target: Sheet, how: Encoding, label: str | None = None) -> Encoded:
    """Encode all columns but the ``label``.

    A column of numbers has its missing values filled by the source's median, and beside it one that is 1 where a value was missing, if
    any is, in the source or in the target. A category is one column per value that the source has; another value is zero in all of them,
    and so is a missing one. Columns of numbers are then standardised, those of zeros and ones are not.

    Raises:
        UserError: no such column; text among numbers; a column without a value, or with one value only, in the source.
    """
    parts = [part for name in _chosen(source, how, label) for part in _column(source, target, name, how)]
    if not parts:
        raise UserError(f"{source.place} has no column beside the label '{label}': a row needs something to learn from")
    stacked = (np.stack([part[place] for part in parts], 1).astype(np.float32) for place in (0, 1))
    return Encoded(next(stacked), next(stacked), [part[2] for part in parts])


def _chosen(source: Sheet, how: Encoding, label: str | None) -> list[str]:
    for option, names in (("columns", how.columns or ()), ("drop", how.drop), ("categories", how.categories), ("missing", how.missing)):
        for name in names:
            source.require(name, f"--data.{option}")
    if label in (how.columns or ()):
        raise UserError(f"--data.columns has '{label}', which is the label: a row must not hold its answer")
    return [name for name in (how.columns or source.columns) if name != label and name not in how.drop]


Part = tuple[Floats, Floats, str]


def _column(source: Sheet, target: Sheet, name: str, how: Encoding) -> Iterator[Part]:
    """The columns of numbers that the column ``name`` becomes: of the source, of the target, and their name."""
    marks = how.missing.get(name, ())
    texts = [
        [None if is_missing(text, marks, how.decimal) else text for text in sheet.require(name, f"{source.place}")]
        for sheet in (source, target)
    ]
    present = [text for text in texts[0] if text is not None]
    if not present:
        raise UserError(f"{source.place} has no value in the column '{name}': leave it out by --data.drop+={name}")
    if name in how.categories or _is_text(source, name, present, how):
        yield from _categories(source, name, texts, how)
    else:
        yield from _numbers(
            name, [_parsed(sheet, name, part, how) for sheet, part in zip((source, target), texts, strict=True)], source, how
        )


def _is_text(source: Sheet, name: str, present: Sequence[str], how: Encoding) -> bool:
    """Whether no value is a number."""
    if any(number(text, how.decimal) is not None for text in present):
        return False
    other = "," if how.decimal == "." else "."
    if all(number(text, other) is not None for text in present):
        raise UserError(f"{source.place} has '{present[0]}' in the column '{name}': set --data.decimal '{other}'")
    return True


def _categories(source: Sheet, name: str, texts: Sequence[Sequence[str | None]], how: Encoding) -> Iterator[Part]:
    named = [[None if text is None else canonical(text, how.decimal) for text in part] for part in texts]
    values = sort_names({value for value in named[0] if value is not None})
    _require_some(source, name, values)
    for value in values:
        first, second = (np.array([text == value for text in part], dtype=np.float64) for part in named)
        yield first, second, f"{name}={value}"


def _numbers(name: str, values: Sequence[Floats], source: Sheet, how: Encoding) -> Iterator[Part]:
    gone = [np.isnan(part) for part in values]
    _require_some(source, name, np.unique(values[0][~gone[0]]).tolist())
    median = np.median(values[0][~gone[0]])
    filled = [np.where(lost, median, part) for lost, part in zip(gone, values, strict=True)]
    first, second = _scaled(filled, how.standardise)
    yield first, second, name
    if any(part.any() for part in gone):
        yield gone[0].astype(np.float64), gone[1].astype(np.float64), f"{name} is missing"


def _require_some(source: Sheet, name: str, values: Sequence[object]) -> None:
    if len(values) < 2:
        raise UserError(f"{source.place} has the value {values[0]} alone in the column '{name}': leave it out by --data.drop+={name}")


def _scaled(filled: Sequence[Floats], standardise: Standardise) -> list[Floats]:
    if standardise == "none":
        return list(filled)
    by = filled if standardise == "each" else (filled[0], filled[0])
    # A column that is constant in the target is 0 there, not a division by zero.
    return [
        (part - own.mean()) / (own.std() if own.std() > 1e-12 * (1 + abs(own.mean())) else 1.0)
        for part, own in zip(filled, by, strict=True)
    ]


def _parsed(sheet: Sheet, name: str, texts: Sequence[str | None], how: Encoding) -> Floats:
    """The numbers of a column, NaN where one is missing."""
    values = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        if text is None:
            continue
        value = number(text, how.decimal)
        if value is None:
            raise UserError(
                f"{sheet.where(row)} has '{text}' in the column '{name}', which is no number: mend it, make it missing by "
                f"--data.missing '{{{name}: [{text}]}}', or name the column in --data.categories"
            )
        values[row] = value
    return values


def sort_names(names: set[str]) -> list[str]:
    """``names`` in order: numbers by size, before texts by the alphabet."""
    return sorted(names, key=lambda name: (0, number(name), name) if number(name) is not None else (1, 0.0, name))


def class_labels(
    sheet: Sheet, texts: Sequence[str], of: Mapping[str, str], needed: bool, marks: Sequence[str | int | float] = ()
) -> list[str | None]:
    """The name of each row's class, by the class ``of`` each value; None where there is none.

    Raises:
        UserError: a value that has no class, or a row without a label where one is ``needed``.
    """
    found: list[str | None] = []
    for row, text in enumerate(texts):
        value = canonical(text)
        if is_missing(text, marks):
            if needed:
                raise UserError(f"{sheet.where(row)} has no label, and the source needs one in each row: fill it, or leave the row out")
            found.append(None)
        elif value not in of:
            raise UserError(f"{sheet.where(row)} has the label '{text}', which is of no class{near(value, of)}")
        else:
            found.append(of[value])
    return found


def number_labels(sheet: Sheet, column: str, marks: Sequence[str | int | float] = (), decimal: str = ".") -> Tensor:
    """The numbers (n,) in a column of labels, NaN where one is missing; all are where the sheet has no such column.

    Raises:
        UserError: a value that is no number.
    """
    if column not in sheet.columns:
        return torch.full((len(sheet),), math.nan)
    found = []
    for row, text in enumerate(sheet.require(column, "--data.label")):
        value = math.nan if is_missing(text, marks, decimal) else number(text, decimal)
        if value is None:
            raise UserError(f"{sheet.where(row)} has the label '{text}', which is no number: mend it, or set --data.label_type class")
        found.append(value)
    return torch.tensor(found)
