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


class Column(NamedTuple):
    """How a column of a table becomes numbers, as the rows that were trained on say it: plain data, which a checkpoint carries.

    Attributes:
        name: the column.
        values: the values of a category, each a column of zeros and ones; None where the column is of numbers.
        median: what fills a missing number.
        mean: what is taken from a number; None where each domain is standardised by its own.
        std: what it is divided by.
        flagged: whether a column of zeros and ones beside it says which numbers are missing.
    """

    name: str
    values: list[str] | None = None
    median: float = 0.0
    mean: float | None = 0.0
    std: float | None = 1.0
    flagged: bool = False

    @property
    def names(self) -> list[str]:
        """The names of the columns of numbers."""
        if self.values is not None:
            return [f"{self.name}={value}" for value in self.values]
        return [self.name, f"{self.name} is missing"] if self.flagged else [self.name]


def encode(source: Sheet, target: Sheet, how: Encoding, label: str | None = None) -> Encoded:
    """Encode all columns but the ``label``, by :func:`fit_columns` on both tables and :func:`apply_columns` to each.

    Raises:
        UserError: no such column; text among numbers; a column without a value, or with one value only, in the source.
    """
    return encoded(source, target, fit_columns(source, target, how, label), how)


def encoded(source: Sheet, target: Sheet, columns: Sequence[Column], how: Encoding) -> Encoded:
    """Both tables as numbers by ``columns``."""
    names = [name for column in columns for name in column.names]
    return Encoded(apply_columns(source, columns, how), apply_columns(target, columns, how), names)


def fit_columns(source: Sheet, target: Sheet, how: Encoding, label: str | None = None) -> list[Column]:
    """How each column but the ``label`` becomes numbers.

    A column of numbers has its missing values filled by the source's median, and beside it one that is 1 where a value was missing, if
    any is, in the source or in the target. A category is one column per value that the source has; another value is zero in all of them,
    and so is a missing one. Columns of numbers are then standardised, those of zeros and ones are not.

    Raises:
        UserError: see :func:`encode`.
    """
    columns = [_fit(source, target, name, how) for name in _chosen(source, how, label)]
    if not columns:
        raise UserError(f"{source.place} has no column beside the label '{label}': a row needs something to learn from")
    return columns


def apply_columns(sheet: Sheet, columns: Sequence[Column], how: Encoding) -> NDArray[np.float32]:
    """The rows of ``sheet`` as numbers, (n, d), by ``columns``.

    Raises:
        UserError: a column is not there; text among numbers.
    """
    return np.stack([part for column in columns for part in _applied(sheet, column, how)], 1).astype(np.float32)


def _chosen(source: Sheet, how: Encoding, label: str | None) -> list[str]:
    for option, names in (("columns", how.columns or ()), ("drop", how.drop), ("categories", how.categories), ("missing", how.missing)):
        for name in names:
            source.require(name, f"--data.{option}")
    if label in (how.columns or ()):
        raise UserError(f"--data.columns has '{label}', which is the label: a row must not hold its answer")
    return [name for name in (how.columns or source.columns) if name != label and name not in how.drop]


def _texts(sheet: Sheet, name: str, how: Encoding, who: str) -> list[str | None]:
    """The texts of the column ``name``, which ``who`` names; None where one is missing."""
    marks = how.missing.get(name, ())
    return [None if is_missing(text, marks, how.decimal) else text for text in sheet.require(name, who)]


def _fit(source: Sheet, target: Sheet, name: str, how: Encoding) -> Column:
    texts = [_texts(sheet, name, how, source.place) for sheet in (source, target)]
    present = [text for text in texts[0] if text is not None]
    if not present:
        raise UserError(f"{source.place} has no value in the column '{name}': leave it out by --data.drop+={name}")
    if name in how.categories or _is_text(source, name, present, how):
        values = sort_names({canonical(text, how.decimal) for text in present})
        _require_some(source, name, values)
        return Column(name, values)
    numbers = [_parsed(sheet, name, part, how) for sheet, part in zip((source, target), texts, strict=True)]
    known = numbers[0][~np.isnan(numbers[0])]
    _require_some(source, name, np.unique(known).tolist())
    median, flagged = float(np.median(known)), any(bool(np.isnan(part).any()) for part in numbers)
    if how.standardise == "none":
        return Column(name, None, median, flagged=flagged)
    mean, std = (None, None) if how.standardise == "each" else _scale(_filled(numbers[0], median))
    return Column(name, None, median, mean, std, flagged)


def _applied(sheet: Sheet, column: Column, how: Encoding) -> Iterator[Floats]:
    texts = _texts(sheet, column.name, how, "the source")
    if column.values is not None:
        named = [None if text is None else canonical(text, how.decimal) for text in texts]
        yield from (np.array([text == value for text in named], dtype=np.float64) for value in column.values)
        return
    values = _parsed(sheet, column.name, texts, how)
    filled = _filled(values, column.median)
    mean, std = _scale(filled) if column.mean is None or column.std is None else (column.mean, column.std)
    yield (filled - mean) / std
    if column.flagged:
        yield np.isnan(values).astype(np.float64)


def _filled(values: Floats, median: float) -> Floats:
    return np.where(np.isnan(values), median, values)


def _scale(values: Floats) -> tuple[float, float]:
    """The mean of ``values`` and their standard deviation; 1 where they are constant, as such a column may be in the target."""
    mean, std = float(values.mean()), float(values.std())
    return mean, std if std > 1e-12 * (1 + abs(mean)) else 1.0


def _is_text(source: Sheet, name: str, present: Sequence[str], how: Encoding) -> bool:
    """Whether no value is a number."""
    if any(number(text, how.decimal) is not None for text in present):
        return False
    other = "," if how.decimal == "." else "."
    if all(number(text, other) is not None for text in present):
        raise UserError(f"{source.place} has '{present[0]}' in the column '{name}': set --data.decimal '{other}'")
    return True


def _require_some(source: Sheet, name: str, values: Sequence[object]) -> None:
    if len(values) < 2:
        raise UserError(f"{source.place} has the value {values[0]} alone in the column '{name}': leave it out by --data.drop+={name}")


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
