"""Emoji with their names as captions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from tlda.batch import PAD
from tlda.data.arrays import RECENT, Splits
from tlda.data.asked.vocabulary import Vocabulary, words_of
from tlda.data.emoji import Concept, Emoji
from tlda.errors import UserError
from tlda.tasks import Caption, Task


class EmojiCaptions(Emoji):
    """:class:`Emoji`, whose names are their captions: the task is :class:`tlda.tasks.Caption`.

    The vocabulary is that of the concepts that are trained on; a third of the other names have a word that is not in it, which no caption
    can then be right in.

    Args:
        source: the look with captions, or several, which are pooled.
        target: the look without.
        decoder: how captions are written, see :class:`tlda.tasks.Caption`.
        width: the width of the decoder's states.
        beams: the captions that the search follows at a time; 1 is greedy.
        pictures: whether the decoder sees the picture.
        length: the most words of a caption; by default those of the longest name.
        **kwargs: see :class:`Emoji`.

    Raises:
        UserError: a name with more words than ``length``.
    """

    def __init__(
        self,
        source: str | list[str] = "noto",
        target: str = "twemoji",
        decoder: Literal["gru", "transformer"] = "gru",
        width: int = 256,
        beams: int = 1,
        pictures: bool = True,
        length: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(source=source, target=target, **kwargs)
        self.decoder, self.width, self.beams, self.pictures, self.length = decoder, width, beams, pictures, length

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of the names that are trained on."""
        return Vocabulary.of(concept.name for concept in self.concepts[0])

    @cached_property
    def longest(self) -> int:
        """The most words of a caption.

        Raises:
            UserError: a name has more.
        """
        names = [concept.name for part in self.concepts for concept in part]
        longest = max(names, key=lambda name: len(words_of(name)))
        count = len(words_of(longest))
        if self.length is not None and count > self.length:
            raise UserError(f"the caption '{longest}' has {count} words, and the decoder writes {self.length}: set --data.length {count}")
        return self.length or count

    @property
    def task(self) -> Task:
        task = Caption(list(self.vocabulary.words), self.longest + 1, self.decoder, self.width, self.beams, self.pictures)
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def _read(self, look: str) -> Splits:
        key = ("captions", self.root, look, self.size, self.longest)
        return RECENT.get(key, lambda: Splits(*(self._images(look, part) for part in self.concepts)))

    def labels(self, concepts: Sequence[Concept]) -> Tensor:
        """The word numbers (n, longest + 1) of the names of ``concepts``, with the end and then :data:`tlda.batch.PAD` after them."""
        ids = self.vocabulary.encode([concept.name for concept in concepts])
        found = torch.full((len(concepts), self.longest + 1), PAD)
        found[:, : ids.shape[1]] = ids
        lengths = (ids >= 0).sum(1)
        found[torch.arange(len(concepts)), lengths] = len(self.vocabulary.words) + 1
        return found
