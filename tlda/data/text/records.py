"""Anyone's texts, in files with named columns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from tlda.data.pooling import Name, as_text
from tlda.data.text.base import Labelled, data_path
from tlda.data.text.reading import Record, Written, records, require_separator
from tlda.errors import UserError


class Records(Labelled):
    """Texts by the names of their columns, in CSV, TSV or JSON Lines, or in folders that a Hugging Face data set's ``save_to_disk`` wrote.

    Either each domain has a file of its own, or one file has both, and a column says which row is of which. A target without labels
    is adapted to and predicted, not measured.

    Args:
        source: the file of the domain with labels; with ``file`` and ``domain``, the value of that column.
        target: that of the domain without, alike.
        text: the column of the texts.
        label: the column of the labels.
        file: the file of both domains.
        domain: the column of ``file`` that names the domain of a row.
        source_test: the file of the source's test rows, or, with ``file`` and ``domain``, the value of that column that they have; by
            default a part is held out.
        target_test: that of the target's test rows, alike; by default all rows measure.
        id: the column that names a row of the target in predictions; by default the number of the row in its file, from 0.
        separator: the character between the fields of a CSV; by default it is found, and a tab in a TSV.
        encoding: the encoding of the files; UTF-8 where none is given.
        on_error: what a row that cannot be read does: ends the run with its line, the default, or is left out, which is said.
        **kwargs: see :class:`TextPair`.

    Raises:
        UserError: a missing file or column, with the near name; an empty text; a label that the source has not; another encoding.
    """

    def __init__(
        self,
        source: Name,
        target: Name,
        text: Name = "text",
        label: Name = "label",
        file: str | None = None,
        domain: Name | None = None,
        source_test: Name | None = None,
        target_test: Name | None = None,
        id: Name | None = None,
        separator: str | None = None,
        encoding: str | None = None,
        on_error: Literal["raise", "skip"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (file is None) is not (domain is None):
            raise UserError("--data.file and --data.domain belong together: the file of both domains, and its column that names the domain")
        self.source, self.target, self.text, self.label = map(str, (source, target, text, label))
        self.file, self.domain = file, as_text(domain)
        self.tests, self.id = (as_text(source_test), as_text(target_test)), as_text(id)
        require_separator(separator)
        self.written = Written(separator, encoding, on_error == "skip")

    @property
    def transfer(self) -> str:
        return "_to_".join(Path(name).stem for name in (self.source, self.target))

    def read(self) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
        source, target = (
            {part: self._records(name, measured) for part, name in (("train", train), ("test", test)) if name}
            for train, test, measured in zip((self.source, self.target), self.tests, (True, False), strict=True)
        )
        return source, target

    def new_records(self, path: Path) -> Iterable[Record]:
        return records(path, self.text, self.label, optional_label=True, key=self.id, how=self.written)

    def describe_row(self, row: int) -> str:
        target = self.records[1]
        return target.get("test", target["train"])[row].key

    def _records(self, name: str, needs_label: bool) -> list[Record]:
        path = data_path(None, self.file or name)
        wanted = (self.domain, [name]) if self.domain else None
        key = None if needs_label else self.id  # nothing of the source is predicted
        return list(records(path, self.text, self.label, wanted, not needs_label, key, self.written))
