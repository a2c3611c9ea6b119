"""Readers of tables: CSV, Parquet and DataFrames become named columns of texts, and an error names the file and the line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlda.data.text.reading import decoded, read_bytes, separator_of
from tlda.errors import UserError, lacking, near

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Sheet:
    """A table as it was written: the texts of each column by its name, and the line of each row, for errors.

    A field is without white space around it. A missing value of Parquet or of a DataFrame is the empty text. ``parts`` are the tables
    that it was put together from, in their order.
    """

    place: str
    columns: dict[str, list[str]]
    lines: Sequence[int]
    parts: Sequence[Sheet] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """The file and line of ``row``, the beginning of a sentence."""
        for part in self.parts:
            if row < len(part):
                return part.where(row)
            row -= len(part)
        return f"{self.place}, line {self.lines[row]},"

    def require(self, column: str, option: str) -> list[str]:
        """The texts of ``column``, which ``option`` names.

        Raises:
            UserError: there is no such column.
        """
        if column not in self.columns:
            raise UserError(f"{self.place} has no column '{column}', which {option} names{near(column, self.columns)}")
        return self.columns[column]

    def of_domain(self, column: str, value: str) -> Sheet:
        """The rows whose ``column`` is ``value``, without that column.

        Raises:
            UserError: there is no such column, or no such row.
        """
        values = self.require(column, "--data.domain")
        rows = [row for row, found in enumerate(values) if found == value]
        if not rows:
            raise UserError(f"{self.place} has no row whose {column} is '{value}'{near(value, set(values))}")
        others = {name: [texts[row] for row in rows] for name, texts in self.columns.items() if name != column}
        return Sheet(self.place, others, [self.lines[row] for row in rows])


def joined(sheets: Sequence[Sheet]) -> Sheet:
    """The rows of several ``sheets`` below each other, which have the same columns in any order.

    Raises:
        UserError: one has a column that the first has not, or the reverse.
    """
    first, *others = sheets
    if not others:
        return first
    for sheet in others:
        if odd := sorted({*sheet.columns} ^ {*first.columns}):
            raise UserError(f"{first.place} and {sheet.place} are pooled, and only one has the column '{odd[0]}': name both alike")
    columns = {name: [text for sheet in sheets for text in sheet.columns[name]] for name in first.columns}
    lines = [line for sheet in sheets for line in sheet.lines]
    return Sheet(" and ".join(dict.fromkeys(sheet.place for sheet in sheets)), columns, lines, tuple(sheets))


def read_sheet(path: Path, separator: str | None = None, encoding: str = "utf-8") -> Sheet:
    """Read a table with a header: Parquet where the name ends in ``.parquet``, else CSV.

    Args:
        path: the file.
        separator: what stands between the fields of a CSV; by default the one of SEPARATORS that its header has most of.
        encoding: the encoding of a CSV.

    Raises:
        UserError: no such file; another encoding; a header without names or with one twice; a row with more or fewer fields; no rows.
    """
    if path.suffix == ".parquet":
        return _parquet(path)
    text = decoded(path, encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator or separator_of(text), strict=True)
    rows, lines, start = [], [], 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields) or len(fields) > 1:
                rows.append([field.strip() for field in fields])
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {start}, cannot be read ({error}): close its quote") from error
    return _sheet(str(path), rows, lines)


def _sheet(place: str, rows: Sequence[list[str]], lines: Sequence[int]) -> Sheet:
    names = rows[0] if rows else []
    if len(rows) < 2:
        raise UserError(f"{place} has no rows: a table is a line with the names of its columns, and a line per row")
    if not all(names) or len({*names}) < len(names):
        twice = next(name for name in names if not name or names.count(name) > 1)
        raise UserError(f"{place} has a column without a name, or '{twice}' twice: its first line names each column once")
    for fields, line in zip(rows, lines, strict=True):
        if len(fields) != len(names):
            raise UserError(
                f"{place}, line {line}, has {len(fields)} fields, and the header has {len(names)}: mend it, or name the --data.separator"
            )
    columns = {name: [fields[place] for fields in rows[1:]] for place, name in enumerate(names)}
    return Sheet(place, columns, lines[1:])


def _parquet(path: Path) -> Sheet:
    read_bytes(path)  # which says where there is none
    try:
        import pandas as pd

        frame = pd.read_parquet(path)
    except ImportError as error:
        raise lacking(f"{path} is Parquet, which", "pandas and pyarrow", "tabular") from error
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]}): it is damaged, or no Parquet; get it again") from error
    return sheet_of_frame(frame, str(path))


def sheet_of_frame(frame: DataFrame, place: str) -> Sheet:
    """The columns of a pandas ``frame``, called ``place`` in errors; its line n is the row n, counted from 1.

    Raises:
        UserError: there are no rows, or two columns have one name.
    """
    missing = frame.isna().to_numpy()
    values = frame.astype(object).to_numpy()
    rows = [["" if gone else str(value).strip() for value, gone in zip(*row, strict=True)] for row in zip(values, missing, strict=True)]
    return _sheet(place, [[str(name) for name in frame.columns], *rows], range(len(rows) + 1))
