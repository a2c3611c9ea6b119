"""Questions about images, whose answers are classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from tlda.batch import ImageTokens, Sample
from tlda.data.arrays import digest, require_size, resize
from tlda.data.asked.vocabulary import Vocabulary
from tlda.data.files import decode, pixels, reading
from tlda.data.pair import ROLES, DomainPair
from tlda.data.rows import Domain, New
from tlda.data.tabular import read_sheet
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Classification


class Asked(NamedTuple):
    """Questions about images of bytes (k, c, h, w): the number of each one's image, its words, its answer and its name."""

    images: Tensor
    of: Sequence[int]
    questions: Sequence[str]
    answers: Sequence[str]
    names: Sequence[str]

    def chosen(self, rows: Sequence[int]) -> Asked:
        """Some of the questions."""
        of = [self.of[row] for row in rows]
        questions, answers, names = ([column[row] for row in rows] for column in (self.questions, self.answers, self.names))
        return Asked(self.images, of, questions, answers, names)


@dataclass
class AskedImages:
    """Rows of questions: images (k, c, h, w), the image of each question (n,), its word ids (n, l), and the class of its answer (n,)."""

    images: Tensor
    of: Tensor
    tokens: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, rows: Tensor) -> Sample:
        x: Any = ImageTokens(self.images[self.of[rows]], self.tokens[rows])
        return Sample(x, self.labels[rows], rows)

    @cached_property
    def content(self) -> str:
        """A hash of every image and question."""
        return digest((str(tuple(self.images.shape)).encode(), self.images, self.of, self.tokens))

    @cached_property
    def digest(self) -> str:
        """A hash of every image, question and answer."""
        return digest((self.content.encode(), self.labels))


class Asking(DomainPair):
    """The base of questions about images. A subclass reads those of both domains in :meth:`read`.

    The answers are classes, so that every method and loss runs as on images; a row is a question, an input is
    :class:`tlda.batch.ImageTokens`, and the backbone is a ``QuestionNet``. The words are those of the source's questions; another is read
    as the unknown word.

    Args:
        size: the height and width of the images.
        questions: the training questions of each domain, drawn without regard to seed or answer; by default all.
        measured: the questions of each domain that measure, drawn alike; by default all.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an option out of its range.
    """

    def __init__(self, size: int = 32, questions: int | None = None, measured: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.questions, self.measured = require_size(size), questions, measured
        for name, count in (("questions", questions), ("measured", measured)):
            if count is not None and count < 1:
                raise UserError(f"--data.{name} is {count}: it is a number of questions, 1 or more")

    def read(self) -> tuple[dict[str, Asked], dict[str, Asked]]:
        """The questions of the source and of the target, each ``train`` and ``test``."""
        raise NotImplementedError

    @cached_property
    def asked(self) -> tuple[dict[str, Asked], dict[str, Asked]]:
        """What :meth:`read` gives, once."""
        return self.read()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of the source's training questions."""
        return Vocabulary.of(self.asked[0]["train"].questions)

    @cached_property
    def answers(self) -> list[str]:
        """The answers of the source's training questions, in the order of the classes."""
        return sorted(set(self.asked[0]["train"].answers))

    @property
    def task(self) -> Classification:
        return self.classification(self.answers)

    @property
    def fitted(self) -> Plain:
        return list(self.vocabulary.words)

    def load(self) -> tuple[Domain, Domain]:
        source, target = (self._domain(str(getattr(self, role)), asked) for role, asked in zip(ROLES, self.asked, strict=True))
        return source, target

    def _domain(self, name: str, asked: dict[str, Asked]) -> Domain:
        return Domain(name, self.rows(drawn(asked["train"], self.questions)), self.rows(drawn(asked["test"], self.measured)))

    def rows(self, asked: Asked) -> AskedImages:
        """The rows of questions; an answer that is none of the source's has the label -1."""
        labels = [self.answers.index(answer) if answer in self.answers else -1 for answer in asked.answers]
        return AskedImages(asked.images, torch.tensor(asked.of), self.vocabulary.encode(asked.questions), torch.tensor(labels))

    def describe_row(self, row: int) -> str:
        return drawn(self.asked[1]["test"], self.measured).names[row]

    def read_new(self, place: str, fitted: Plain) -> New:
        """Read a CSV with the columns ``image``, a path from its folder, and ``question``."""
        sheet, folder = read_sheet(Path(place)), Path(place).parent
        images, questions = (sheet.require(column, "--inputs") for column in ("image", "question"))
        known = Vocabulary([str(word) for word in fitted]) if isinstance(fitted, list) else self.vocabulary
        known.warn_of_unknown(questions, f"the questions of {place}")
        pictures = read_pictures([folder / image for image in images], self.size)
        rows = AskedImages(pictures, torch.arange(len(pictures)), known.encode(questions), torch.full((len(pictures),), -1))
        return New(rows, [f"{image}: {question}" for image, question in zip(images, questions, strict=True)])


def drawn(asked: Asked, count: int | None) -> Asked:
    """``count`` of the questions, in their order, the same in every run; all where there are not more."""
    if count is None or count >= len(asked.of):
        return asked
    return asked.chosen(torch.randperm(len(asked.of), generator=Generator().manual_seed(0))[:count].sort().values.tolist())


def read_pictures(paths: Sequence[Path], size: int) -> Tensor:
    """The images in colour, bytes (n, 3, ``size``, ``size``), each antialiased."""
    return torch.cat([resize(_picture(path)[None], size) for path in paths])


def _picture(path: Path) -> Tensor:
    with reading(path):
        return pixels(decode(path))
