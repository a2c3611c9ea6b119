"""Words as numbers: the vocabulary of short texts whose words a small network learns from nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from tlda.batch import PAD
from tlda.errors import warn

UNKNOWN = 0
"""The id of every word that is not in the vocabulary."""


def words_of(text: str) -> list[str]:
    """The words of ``text`` in small letters; signs between them are none."""
    return re.findall(r"\w+(?:'\w+)?", text.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The ``words`` that have an id of their own, 1 to their number; all others share :data:`UNKNOWN`."""

    words: Sequence[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """The vocabulary of all words of ``texts``, in the order of the alphabet."""
        return cls(sorted({word for text in texts for word in words_of(text)}))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each word."""
        return {word: number for number, word in enumerate(self.words, 1)}

    def encode(self, texts: Sequence[str]) -> Tensor:
        """The word ids (n, l) of ``texts``, with :data:`tlda.batch.PAD` after the end of each; a text without a word is an unknown one."""
        rows = [torch.tensor([self.ids.get(word, UNKNOWN) for word in words_of(text)] or [UNKNOWN]) for text in texts]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)

    def warn_of_unknown(self, texts: Sequence[str], what: str) -> None:
        """Warn of the words of ``texts``, called ``what``, that have no id of their own."""
        unknown = sorted({word for text in texts for word in words_of(text)} - self.ids.keys())
        if unknown:
            named = ", ".join(f"'{word}'" for word in unknown[:5]) + (", …" if len(unknown) > 5 else "")
            warn(f"{what} have {len(unknown)} word(s) that training had not, such as {named}: each is read as the unknown word")
