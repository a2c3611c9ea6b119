"""The base of data sets of texts: tokenizer, maximal length and metrics."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tlda.data.pair import DomainPair
from tlda.data.rows import Domain, New
from tlda.data.text.reading import Record
from tlda.data.text.tokens import Texts, encode
from tlda.errors import UserError, near
from tlda.options.recorded import Plain
from tlda.tasks import Task

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def data_path(root: str | None, name: str) -> Path:
    """The file or folder ``name`` in ``root``; in the folder where the command runs, else in ``TLDA_DATA``, where no root is given."""
    places = [Path(root)] if root else [Path(), Path(os.environ.get("TLDA_DATA") or "data")]
    return next((place / name for place in places if (place / name).exists()), places[-1] / name)


class TextPair(DomainPair):
    """The base of data of texts.

    Args:
        tokenizer: the model whose tokenizer makes the tokens: the same that the backbone Text names.
        max_length: the most tokens of a text; what is over is cut off, and said.
        **kwargs: see :class:`DomainPair`.
    """

    def __init__(self, tokenizer: str = MINILM, max_length: int = 256, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if max_length < 8:
            raise UserError(f"--data.max_length is {max_length}: a text needs at least 8 tokens")
        self.tokenizer, self.max_length = tokenizer, max_length

    @property
    def tokenizers(self) -> list[str]:
        return [self.tokenizer]


class Labelled(TextPair):
    """The base of texts that each have a class. A subclass reads the records of both domains in :meth:`read`."""

    def read(self) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
        """The records of the source and of the target: ``train``, ``test`` and ``unlabelled``, the last two where there are any."""
        raise NotImplementedError

    @cached_property
    def records(self) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
        """What :meth:`read` gives, once."""
        return self.read()

    @cached_property
    def task(self) -> Task:
        return self.classification(self.class_names, [] if self.target_private else ["macro_f1"])

    @cached_property
    def class_names(self) -> list[str]:
        """The names of the classes of either domain, in the order of the labels."""
        source = self.records[0]["train"]
        for record in source:
            if record.label is None:
                raise UserError(f"{record.place} has no label, and the source needs one in each row: fill it, or make it the target")
        return sorted({record.label for record in source if record.label is not None} | set(self.target_private))

    def load(self) -> tuple[Domain, Domain]:
        """The texts of both domains as tokens; the target also has the texts without labels that come with it."""
        source, target = ({n: self._texts(r, f"'{n}'") for n, r in records.items()} for records in self.records)
        known = bool((target["train"].labels >= 0).all())
        names = (str(getattr(self, name)) for name in ("source", "target"))
        return Domain(next(names), source["train"], source.get("test")), Domain(
            next(names), target["train"], target.get("test"), known, target.get("unlabelled")
        )

    def new_records(self, path: Path) -> Iterable[Record]:
        """The records of a file of inputs alone; labels in it are not looked at."""
        raise NotImplementedError

    def read_new(self, place: str, fitted: Plain) -> New:
        found = [record._replace(label=None) for record in self.new_records(data_path(None, place))]
        return New(self._texts(found, f"'{place}'"), [record.key for record in found])

    def _texts(self, records: Sequence[Record], what: str) -> Texts:
        if not records:
            raise UserError(f"there are no texts in {what}: look at the file")
        found = encode(
            [record.text for record in records], self.tokenizer, self.max_length, f"{what} ({records[0].place.partition(',')[0]})"
        )
        return Texts(found["tokens"], found["ends"], torch.tensor([self._label(record) for record in records]))

    def _label(self, record: Record) -> int:
        if record.label is None:
            return -1
        if record.label not in self.class_names:
            raise UserError(
                f"{record.place} has the label '{record.label}', which the source has not{near(record.label, self.class_names)}"
            )
        return self.class_names.index(record.label)
