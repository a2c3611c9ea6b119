"""Anyone's table of numbers and categories as two domains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from tlda.batch import Sample
from tlda.data.arrays import digest
from tlda.data.pair import DomainPair
from tlda.data.pooling import Name, as_text, require_apart
from tlda.data.rows import Domain, New, pooled
from tlda.data.tabular.encoding import (
    Column,
    Encoded,
    Encoding,
    Standardise,
    apply_columns,
    canonical,
    class_labels,
    encoded,
    fit_columns,
    is_missing,
    number_labels,
    sort_names,
)
from tlda.data.tabular.sheets import Sheet, joined, read_sheet, sheet_of_frame
from tlda.data.text.base import data_path
from tlda.data.text.reading import require_separator
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Regression, Task

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass
class TableRows:
    """Rows of numbers (n, d) in float32, or series (n, c, t), and their labels (n,)."""

    values: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(self.values[rows], self.labels[rows], rows)

    def of(self, rows: Tensor) -> TableRows:
        """Some of the rows."""
        return TableRows(self.values[rows], self.labels[rows])

    @property
    def digest(self) -> str:
        """A hash of every number and label."""
        return digest((str(tuple(self.values.shape)).encode(), self.values, self.labels))

    @property
    def content(self) -> str:
        """The same: any change of a row changes it."""
        return self.digest


SCORES = ("auc", "balanced_accuracy", "ece", "brier", "sensitivity")
"""What is measured of two classes beside their accuracy."""


class Tabular(DomainPair):
    """Rows of numbers and categories with a class or a number each, from CSV, Parquet, or DataFrames (:meth:`of_frames`).

    Each domain has a file of its own, or one file has both, and a column says which row is of which. Missing are an empty field, ``?``,
    ``NA``, ``NaN`` and ``null``. :func:`~tlda.data.tabular.encoding.fit_columns` says how columns become numbers, all fitted on
    the source. A method takes the rows by ``--model.backbone MLP``. A target without labels is adapted to and predicted, not measured.

    Args:
        source: the file of the domain with labels, or several, which are pooled; with ``file`` and ``domain``, values of that column.
        target: that of the domain without.
        label: the column of the labels.
        label_type: whether a label is a ``class`` or a ``number``; a number may be missing in either domain.
        unit: the unit of a number, for print.
        classes: by the name of a class, the labels that belong to it; by default each label is a class. Those that ``source_private``
            or ``target_private`` names are one domain's, the others both domains'.
        columns: the columns to learn from, by default all but the label.
        drop: columns to leave out.
        categories: columns whose numbers are names, such as codes; columns of texts are categories without being named.
        missing: by column, further values that stand for a missing one, such as a cholesterol of 0.
        standardise: give each column of numbers mean 0 and standard deviation 1, by the rows of the ``source``, of ``each`` domain by its
            own, or of ``none``.
        file: the file of both domains.
        domain: the column of ``file`` that names the domain of a row.
        separator: what stands between the fields of a CSV; by default it is found.
        decimal: the decimal point, ``.`` or ``,``.
        encoding: the encoding of a CSV.
        id: the column that names a row in predictions, which nothing is learnt from; by default a row is named by its file and line.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a missing file or column, with the near name; a table that cannot be read, and where; a label of no class.
    """

    def __init__(
        self,
        source: Name | Sequence[Name],
        target: Name,
        label: Name = "label",
        label_type: Literal["class", "number"] = "class",
        unit: str = "",
        classes: Mapping[str, Sequence[str | int | float]] | None = None,
        columns: Sequence[Name] | None = None,
        drop: Sequence[Name] = (),
        categories: Sequence[Name] = (),
        missing: Mapping[str, Sequence[str | int | float]] | None = None,
        standardise: Standardise = "source",
        file: str | None = None,
        domain: Name | None = None,
        separator: str | None = None,
        decimal: str = ".",
        encoding: str = "utf-8",
        id: Name | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (file is None) is not (domain is None):
            raise UserError("--data.file and --data.domain belong together: the file of both domains, and its column that names the domain")
        if decimal not in (".", ","):
            raise UserError(f"--data.decimal is '{decimal}': it is '.' or ','")
        require_separator(separator)
        self.sources = [str(name) for name in ([source] if isinstance(source, Name) else source)]
        if not self.sources:
            raise UserError("--data.source names no domain: name one or more")
        self.source, self.target, self.label, self.classes = "+".join(self.sources), str(target), str(label), classes
        require_apart(self.sources, [self.target])
        self.file, self.domain, self.separator, self.encoding = file, as_text(domain), separator, encoding
        self.id = as_text(id)
        drop = [*drop, *([] if id is None else [id])]
        chosen, left_out, named = (None if names is None else [str(name) for name in names] for names in (columns, drop, categories))
        self.how = Encoding(chosen, left_out or (), named or (), missing or {}, standardise, decimal)
        self.frames: tuple[Any, Any] | None = None
        if label_type == "number" and classes is not None:
            raise UserError("--data.classes are of labels that are classes, and --data.label_type is number: leave one of them out")
        self.label_type, self.unit = label_type, unit

    @classmethod
    def of_frames(cls, source: DataFrame, target: DataFrame, names: tuple[str, str] = ("source", "target"), **options: Any) -> Tabular:
        """Take the rows of two pandas DataFrames, called ``names``; ``options`` are those of the class."""
        pair = cls(*names, **options)
        pair.frames = source, target
        pair._options["frames"] = source, target  # so that no checkpoint names files that are none
        return pair

    @property
    def transfer(self) -> str:
        return "_to_".join("+".join(Path(name).stem for name in names) for names in (self.sources, [self.target]))

    @cached_property
    def sheets(self) -> tuple[Sheet, Sheet]:
        """The tables of the source and of the target as they are written."""
        if self.frames is not None:
            return sheet_of_frame(self.frames[0], self.source), sheet_of_frame(self.frames[1], self.target)
        if self.file is not None and self.domain is not None:
            both = self._read(self.file)
            *sources, target = (both.of_domain(self.domain, name) for name in (*self.sources, self.target))
        else:
            *sources, target = (self._read(name) for name in (*self.sources, self.target))
        return joined(sources), target

    def _read(self, name: str) -> Sheet:
        return read_sheet(data_path(None, name), self.separator, self.encoding)

    @cached_property
    def columns(self) -> list[Column]:
        """How each column becomes numbers."""
        if self.id is not None:
            for sheet in self.sheets:
                sheet.require(self.id, "--data.id")
        return fit_columns(*self.sheets, self.how, self.label)

    @cached_property
    def encoded(self) -> Encoded:
        """The rows of both domains as numbers, and the names of their columns."""
        return encoded(*self.sheets, self.columns, self.how)

    @property
    def fitted(self) -> Plain:
        return [column._asdict() for column in self.columns]

    def read_new(self, place: str, fitted: Plain) -> New:
        sheet = self._read(place)
        columns = [Column(**column) for column in fitted] if isinstance(fitted, list) else self.columns
        unknown = torch.full((len(sheet),), math.nan if self.label_type == "number" else -1)
        rows = TableRows(torch.from_numpy(apply_columns(sheet, columns, self.how)), unknown)
        return New(rows, self._names(sheet))

    def _names(self, sheet: Sheet) -> list[str]:
        """The name of each row in predictions."""
        return [f"{sheet.place}:{line}" for line in sheet.lines] if self.id is None else sheet.require(self.id, "--data.id")

    @cached_property
    def class_of(self) -> dict[str, str]:
        """The class of each label that has one."""
        if self.classes is not None:
            named = [(canonical(str(value)), name) for name, values in self.classes.items() for value in values]
            if twice := [value for value, _ in named if [other for other, _ in named].count(value) > 1]:
                raise UserError(f"--data.classes has the label '{twice[0]}' twice: a label belongs to one class")
            return dict(named)
        texts = self.sheets[0].require(self.label, "--data.label")
        labels = {canonical(text) for text in texts if not is_missing(text, self._label_marks)}
        return {name: name for name in sort_names(labels | set(self.target_private))}

    @property
    def _label_marks(self) -> Sequence[str | int | float]:
        return self.how.missing.get(self.label, ())

    @cached_property
    def task(self) -> Task:
        """A class or a number of each row; of two classes more is measured than the accuracy."""
        if self.label_type == "number":
            known = self.numbers[0][~self.numbers[0].isnan()]
            return Regression([self.label], [self.unit], [float(known.mean())], [float(known.std(correction=0)) or 1.0])
        task = self.classification(self.class_names, SCORES if len(self.class_names) == 2 and not self.has_private_classes else [])
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    @property
    def class_names(self) -> list[str]:
        """The names of the classes of either domain, in the order of the labels."""
        return list(self.classes) if self.classes is not None else list(self.class_of)

    @cached_property
    def numbers(self) -> tuple[Tensor, Tensor]:
        """The labels of source and target as numbers, NaN where one is missing."""
        source, target = (number_labels(sheet, self.label, self._label_marks, self.how.decimal) for sheet in self.sheets)
        if not bool((~source.isnan()).any()):
            raise UserError(f"{self.sheets[0].place} has no number in its column '{self.label}': the source needs labels")
        return source, target

    def load(self) -> tuple[Domain, Domain]:
        """The rows of both tables; where the label is a number, source rows without one are left out."""
        found = (
            self.numbers if self.label_type == "number" else [self._labels(s, n) for s, n in zip(self.sheets, (True, False), strict=True)]
        )
        (sources, y), (target, labels) = zip((torch.from_numpy(x) for x in self.encoded[:2]), found, strict=True)
        sizes = [len(sheet) for sheet in self.sheets[0].parts or self.sheets[:1]]
        parts = [TableRows(*part) for part in zip(torch.split(sources, sizes), torch.split(y, sizes), strict=True)]
        if self.label_type == "number":
            parts = [part.of((~part.labels.isnan()).nonzero().flatten()) for part in parts]
        source = pooled(self.source, [Domain(name, part) for name, part in zip(self.sources, parts, strict=True)])
        return source, Domain(self.target, TableRows(target, labels), labelled=bool(self.task.known(labels).all()))

    def _labels(self, sheet: Sheet, needed: bool) -> Tensor:
        if not needed and self.label not in sheet.columns:
            return torch.full((len(sheet),), -1)
        names = class_labels(sheet, sheet.require(self.label, "--data.label"), self.class_of, needed, self._label_marks)
        return torch.tensor([-1 if name is None else self.class_names.index(name) for name in names])

    def describe_row(self, row: int) -> str:
        return self._names(self.sheets[1])[row]
