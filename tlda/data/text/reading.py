"""Readers of the files that texts come in: each line is checked, and an error names the file and the line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tlda.errors import UserError, near, warn

LONGEST = 10_000_000
"""The most characters of a field of a CSV: what is longer is no text, but the rest of a file after a quote that nothing closes."""


SEPARATORS = (",", ";", "\t", "|")
"""The possible separators of a CSV: the one that its header has most of is taken."""

ESCAPED = re.compile("[\udc80-\udcff]")
"""Where a byte was that is none of the file's encoding."""


class Record(NamedTuple):
    """A text, its label or None, where it stands, for errors, and the key that a prediction of it has."""

    text: str
    label: str | None
    place: str
    key: str = ""


class Written(NamedTuple):
    """How a file of rows is written: its separator and encoding, by default found and UTF-8; whether a damaged row is left out."""

    separator: str | None = None
    encoding: str | None = None
    skip: bool = False


class Sentence(NamedTuple):
    """Words and their tags, and where they stand, for errors."""

    words: list[str]
    tags: list[str]
    place: str


def read_bytes(path: Path) -> bytes:
    """The contents of a file, or a :class:`UserError` with the near name of what is there instead."""
    try:
        return path.read_bytes()
    except OSError as error:
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = near(path.name, beside) if 0 < len(beside) <= 50 else ": give the path of the data"
        raise UserError(f"cannot read {path} ({error.strerror}){hint}") from error


def read_text(path: Path) -> str:
    """The contents of a file in UTF-8.

    Raises:
        UserError: a byte that is none of UTF-8; it names the line.
    """
    data = read_bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {_line(data, error.start)}, has the byte 0x{data[error.start]:02x}, which is not UTF-8: save the file in UTF-8"
        ) from error


def decoded(path: Path, encoding: str, skip: bool = False) -> str:
    """The contents of a file in ``encoding``; to ``skip`` what is damaged, each byte that is none of it becomes one of :data:`ESCAPED`.

    Raises:
        UserError: there is no such encoding, or a byte that is none of it; it names the line.
    """
    data = read_bytes(path)
    try:
        return data.decode(encoding, "surrogateescape" if skip else "strict").removeprefix("\ufeff")
    except LookupError as error:
        raise UserError(f"--data.encoding is '{encoding}', which is no encoding: name one such as utf-8, latin-1 or cp1252") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {_line(data, error.start)}, has the byte 0x{data[error.start]:02x}, which is not {encoding}: "
            "name the file's --data.encoding, such as latin-1"
        ) from error


def separator_of(text: str) -> str:
    """The separator of the CSV ``text``: the one of :data:`SEPARATORS` that its header has most of."""
    return max(SEPARATORS, key=text.lstrip("\r\n").split("\n", 1)[0].count)


def require_separator(separator: str | None) -> None:
    """Raise :class:`UserError` where ``separator`` is given and is not one character."""
    if separator is not None and len(separator) != 1:
        raise UserError(f"--data.separator is '{separator}': it is one character, such as ';'")


def mended_text(path: Path) -> str:
    """The contents of a file whose distributor left bytes in it that are not UTF-8: each is read as �, and they are counted aloud."""
    data = read_bytes(path)
    text = data.decode("utf-8-sig", errors="replace")
    if broken := text.count("\ufffd") - data.count("\ufffd".encode()):
        line = text[: text.index("\ufffd")].count("\n") + 1
        warn(f"{path} has {broken} places that are not UTF-8, the first in line {line}: each is read as \ufffd")
    return text


def _line(data: bytes, position: int) -> int:
    return data[:position].count(b"\n") + 1


def text_of(text: str, place: str) -> str:
    """``text`` without white space around it.

    Raises:
        UserError: nothing is left of it.
    """
    if not (stripped := text.strip()):
        raise UserError(f"{place} has an empty text: fill it, or leave the row out")
    return stripped


# Reviews


def reviews(path: Path, labelled: bool) -> Iterator[Record]:
    """The lines of an FDU-MTL file: ``LABEL<TAB>TEXT``, or ``TEXT`` alone."""
    key = -1
    for number, line in enumerate(mended_text(path).split("\n"), 1):
        if not line.strip():
            continue
        key += 1
        place = f"{path}, line {number},"
        label, tab, text = line.partition("\t") if labelled else ("", "\t", line)
        if not tab:
            raise UserError(f"{place} has no tab: a line is a label, a tab and a text")
        yield Record(text_of(text, place), label.strip() or None, place, str(key))


# Rows with named columns


def records(
    path: Path,
    text: str,
    label: str,
    domain: tuple[str, Sequence[str]] | None = None,
    optional_label: bool = False,
    key: str | None = None,
    how: Written = Written(),  # noqa: B008  (it cannot be changed)
) -> Iterator[Record]:
    """The rows of a CSV, TSV or JSON Lines file, or of a folder of a Hugging Face data set, by the names of their columns.

    Args:
        path: ``.csv``, ``.tsv``, ``.jsonl``, or a folder that ``save_to_disk`` wrote.
        text: the column of the texts.
        label: the column of the labels; an empty one is none.
        domain: a column, and the values in it whose rows are meant; by default all rows are.
        optional_label: whether the column of the labels may be missing.
        key: the column of the rows' keys; by default a key is the number of the row in the file, from 0.
        how: how the file is written, and whether rows that cannot be read are left out.

    Raises:
        UserError: no such column, an empty text, a row that cannot be read, or only such rows; it names the line.
    """
    found: set[str] = set()
    skipped: list[UserError] = []
    columns = [text, *(() if optional_label else (label,)), *(domain[:1] if domain else ()), *([key] if key else ())]
    number = -1
    for number, (place, row) in enumerate(_rows(path, how)):
        try:
            whole = _whole(row, place, columns)
            if domain:
                found.add(str(whole[domain[0]]))
                if str(whole[domain[0]]) not in domain[1]:
                    continue
            named = str(number) if key is None else str(whole[key])
            record = Record(text_of(_text(whole[text], text, place), place), _label(whole.get(label), label, place), place, named)
        except UserError as error:
            if not how.skip:
                raise
            skipped.append(error)
            continue
        yield record
    _say_skipped(path, skipped, number + 1)
    for name in domain[1] if domain else ():
        if name not in found:
            raise UserError(f"{path} has no row whose {domain[0] if domain else ''} is '{name}'{near(name, found)}")


def _whole(row: dict[str, Any] | UserError, place: str, columns: Sequence[str]) -> dict[str, Any]:
    """``row``, which has ``columns`` and can be read."""
    if isinstance(row, UserError):
        raise row
    _require_columns(place, row, columns)
    if any(isinstance(row[column], str) and ESCAPED.search(row[column]) for column in columns):
        raise UserError(f"{place} has a byte that is not of the file's encoding: name its --data.encoding")
    return row


def _say_skipped(path: Path, skipped: Sequence[UserError], count: int) -> None:
    """Warn of the rows of ``count`` that were left out; where they are all, the first one's error is raised."""
    if skipped and len(skipped) == count:
        raise skipped[0]
    if skipped:
        warn(f"{len(skipped)} of the {count} rows of {path} cannot be read and are left out; the first: {skipped[0]}")


def _text(value: Any, column: str, place: str) -> str:
    """A value of a column of texts; a number is text too."""
    if isinstance(value, (list, dict, bool)):
        raise UserError(f"{place} has {value!r} as its '{column}', which is no text: give each row a text")
    return "" if value is None else str(value)


def _label(value: Any, column: str, place: str) -> str | None:
    """The name of a class; None where there is none, which is an empty field, null or NaN."""
    if isinstance(value, (list, dict)):
        raise UserError(f"{place} has {value!r} as its '{column}', and a label is one name: give the class's own, not one number a class")
    return None if value is None or value == "" or value != value else str(value)


def _require_columns(place: str, row: dict[str, Any], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in row:
            raise UserError(f"{place} has no column '{column}'{near(column, [str(name) for name in row])}")


Read = Iterator[tuple[str, dict[str, Any] | UserError]]
"""The rows of a file: where each stands, and its values by column, or why it cannot be read."""


def _rows(path: Path, how: Written) -> Read:
    kinds = {".csv": _csv_rows, ".tsv": _csv_rows, ".jsonl": _json_rows}
    if path.is_dir():
        yield from _dataset_rows(path)
    elif path.suffix in kinds:
        yield from kinds[path.suffix](path, how)
    else:
        raise UserError(f"{path} is no file of rows: name a .csv, a .tsv, a .jsonl, or a folder that a data set's save_to_disk wrote")


def _csv_rows(path: Path, how: Written) -> Read:
    csv.field_size_limit(LONGEST)
    text = decoded(path, how.encoding or "utf-8", how.skip)
    separator = how.separator or ("\t" if path.suffix == ".tsv" else separator_of(text))
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    start = 1
    try:
        names = list(reader.fieldnames or ())
        if twice := [name for name in names if names.count(name) > 1]:
            raise UserError(f"{path}, line 1, names the column '{twice[0]}' twice: name each once")
        start = 2
        for row in reader:
            place = f"{path}, line {start},"
            yield place, _other_width(place, len(names), separator) if None in row or None in row.values() else row
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}, line {start}, cannot be read ({error}): close its quote") from error


def _other_width(place: str, width: int, separator: str) -> UserError:
    told = {"\t": "a tab", ",": "a comma"}.get(separator, f"'{separator}'")
    return UserError(
        f"{place} has not as many fields as the header, {width}, with {told} between two: put quotes around a text that has {told} in it, "
        "close each quote, or name the --data.separator"
    )


def _json_rows(path: Path, how: Written) -> Read:
    for number, line in enumerate(decoded(path, how.encoding or "utf-8", how.skip).split("\n"), 1):
        if line.strip():
            place = f"{path}, line {number},"
            yield place, _json_row(line, place)


def _json_row(line: str, place: str) -> dict[str, Any] | UserError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return UserError(f"{place} is not JSON ({error}): each line is one object")
    return row if isinstance(row, dict) else UserError(f"{place} is a {type(row).__name__}: each line is one object with named columns")


def _dataset_rows(path: Path) -> Read:
    try:
        from datasets import Dataset, load_from_disk
    except ImportError as error:
        raise UserError(f"{path} is a folder, and reading a Hugging Face data set needs datasets: pip install datasets") from error
    try:
        data = load_from_disk(str(path))
    except FileNotFoundError as error:
        raise UserError(f"{path} holds no data set: name the folder that save_to_disk wrote") from error
    if not isinstance(data, Dataset):
        raise UserError(f"{path} has several splits{near('', data)}: name the folder of one, such as {path / next(iter(data))}")
    names = {column: kind.names for column, kind in data.features.items() if hasattr(kind, "names")}
    for number, row in enumerate(data):
        yield f"{path}, row {number},", {c: _class_name(names[c], v) if c in names else v for c, v in row.items()}


def _class_name(names: Sequence[str], value: int | None) -> str | None:
    """The name of a class; None where there is no label, which a data set without any gives as -1."""
    return None if value is None or value < 0 else names[value]


# Tags


def columns(path: Path) -> Iterator[Sentence]:
    """The sentences of a file of ``WORD<TAB>TAG`` lines, with an empty line after each."""
    words: list[str] = []
    tags: list[str] = []
    start = 1
    for number, line in enumerate([*read_text(path).split("\n"), ""], 1):
        if line.strip():
            fields = line.rstrip("\r").split("\t")
            if len(fields) != 2 or not all(field.strip() for field in fields):
                raise UserError(f"{path}, line {number}, has not one word and one tag with a tab between them: give each word its tag")
            words.append(fields[0])
            tags.append(fields[1].strip())
        else:
            if words:
                yield Sentence(words, tags, f"{path}, line {start},")
            words, tags, start = [], [], number + 1


def conllu(path: Path) -> Iterator[tuple[str, Sentence]]:
    """The sentences of a CoNLL-U file with universal parts of speech, and the genre of each, which ``# newdoc id`` begins with."""
    genre, words, tags, start = "", [], [], 1
    for number, line in enumerate([*read_text(path).split("\n"), ""], 1):
        if line.startswith("# newdoc id"):
            genre = line.partition("=")[2].strip().partition("-")[0]
        elif line.strip() and not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != 10:
                raise UserError(f"{path}, line {number}, has {len(fields)} fields: a line of CoNLL-U has 10, with tabs between them")
            if fields[0].isdigit():  # neither 1-2, a contraction of the words below it, nor 1.1, a word that is not in the text
                words.append(fields[1])
                tags.append(fields[3])
        elif not line.strip():
            if words:
                yield genre, Sentence(words, tags, f"{path}, line {start},")
            words, tags, start = [], [], number + 1


def require_bio(sentence: Sentence) -> None:
    """Raise :class:`UserError` where the tags are not BIO: I-TYPE stands only after B-TYPE or I-TYPE."""
    before = "O"
    for number, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True), 1):
        if tag != "O" and tag[:2] not in ("B-", "I-"):
            raise UserError(f"{sentence.place} word {number}, '{word}', has the tag '{tag}': BIO tags are O, B-TYPE and I-TYPE")
        if tag.startswith("I-") and before[2:] != tag[2:]:
            raise UserError(
                f"{sentence.place} word {number}, '{word}', has the tag '{tag}' after '{before}': an entity begins with B-{tag[2:]}; "
                "mend the tag"
            )
        before = tag
