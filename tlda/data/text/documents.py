"""Plain text: the documents of a file, a folder or an installed package."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tlda.backbones.weights import PACKAGE, package_files
from tlda.data.text.base import data_path
from tlda.data.text.reading import read_text, records, reviews
from tlda.errors import UserError, near


class Document(NamedTuple):
    """A text, and where it stands."""

    text: str
    place: str


def documents(name: str, column: str) -> list[Document]:
    """The documents of ``name``: a file, a folder, or ``package:NAME`` of an installed package with one file of text.

    A text file is one document, and so is each text file of a folder; a row of JSON Lines, CSV, TSV, or of a Hugging Face data set that
    ``save_to_disk`` wrote is one by its ``column``; so is a table of SQLite that has such a column, all of its rows one after the other; a
    paragraph of SQuAD's JSON; a review of FDU-MTL.

    Raises:
        UserError: there is no such file, or no text in it.
    """
    path = _in_package(name.removeprefix(PACKAGE)) if name.startswith(PACKAGE) else data_path(None, name)
    found = [document for document in _read(path, column) if document.text.strip()]
    if not found:
        raise UserError(f"there is no text in {path}: look at the file")
    return found


def _in_package(package: str) -> Path:
    found = [path for path in package_files(package) if path.suffix and path.suffix in KINDS and ".dist-info" not in str(path)]
    if len(found) != 1:
        raise UserError(f"the package '{package}' has {len(found)} files of text, not one: give the path of the one you mean")
    return found[0]


def _read(path: Path, column: str) -> Iterable[Document]:
    if path.is_dir() and not any(path.glob("*.arrow")):
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith(".")]
        return [document for file in files for document in _read(file, column)]
    if ".task." in path.name:
        return (Document(record.text, record.place) for record in reviews(path, labelled=not path.name.endswith(".unlabel")))
    return KINDS.get(path.suffix, _whole)(path, column)


def _whole(path: Path, column: str) -> Iterator[Document]:
    yield Document(read_text(path), str(path))


def _rows(path: Path, column: str) -> Iterator[Document]:
    for record in records(path, column, "", optional_label=True):
        yield Document(record.text, record.place)


def _paragraphs(path: Path, column: str) -> Iterator[Document]:
    try:
        articles = json.loads(read_text(path))["data"]
        for number, paragraph in enumerate(paragraph for article in articles for paragraph in article["paragraphs"]):
            yield Document(paragraph["context"], f"{path}, paragraph {number}")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is not in SQuAD's JSON ({type(error).__name__}: {error}): give text, or rows as .jsonl") from error


def _tables(path: Path, column: str) -> Iterator[Document]:
    try:
        with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as base:
            names = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = {name: [row[1] for row in base.execute(f"PRAGMA table_info({_quoted(name)})")] for name in names}
            tables = [name for name in names if column in columns[name]]
            for name in tables:
                rows = base.execute(f"SELECT {_quoted(column)} FROM {_quoted(name)} ORDER BY rowid")
                yield Document("\n".join(str(text) for (text,) in rows if text), f"{path}, table {name}")
    except sqlite3.Error as error:
        raise UserError(f"{path} cannot be read as SQLite ({error}): name another file") from error
    if not tables:
        raise UserError(f"{path} has no column '{column}'{near(column, [name for own in columns.values() for name in own])}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


KINDS: dict[str, Callable[[Path, str], Iterable[Document]]] = {
    ".txt": _whole,
    ".jsonl": _rows,
    ".csv": _rows,
    ".tsv": _rows,
    "": _rows,  # the folder of a data set
    ".json": _paragraphs,
    ".db": _tables,
    ".sqlite": _tables,
}
"""The readers by the ending of a file; one of any other is plain text."""
