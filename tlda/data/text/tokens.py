"""Texts as token ids: made once, kept on disk, and read a batch at a time, padded to the longest text in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tlda.backbones.text import TOKENIZER, load_tokenizer, model_file
from tlda.batch import PAD, Sample
from tlda.data.arrays import digest
from tlda.data.cache import stored
from tlda.errors import UserError, warn

if TYPE_CHECKING:
    from tokenizers import Encoding

VERSION = b"1"
"""Part of the names of what is kept. Raise it when a change of this file changes what is made."""


@dataclass
class Texts:
    """Texts with a class each: all token ids one after the other (t,), where each text ends (n,), and the classes (n,), -1 for none."""

    tokens: Tensor
    ends: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, rows: Tensor) -> Sample:
        return Sample(self.padded(rows), self.labels[rows], rows)

    @cached_property
    def starts(self) -> Tensor:
        """The position at which each text starts, (n,)."""
        return torch.cat((self.ends.new_zeros(1), self.ends[:-1]))

    @cached_property
    def lengths(self) -> Tensor:
        """The tokens of each text, (n,)."""
        return self.ends - self.starts

    def padded(self, rows: Tensor) -> Tensor:
        """The token ids of some rows, (n, l) or (n, l, k), l the longest of them."""
        lengths = self.lengths[rows]
        places = torch.arange(int(lengths.max()))
        there = places < lengths[:, None]
        ids = self.tokens[(self.starts[rows][:, None] + places)[there]].long()
        return ids.new_full((*there.shape, *ids.shape[1:]), PAD).masked_scatter(_like(there, ids), ids)

    @cached_property
    def content(self) -> str:
        """A hash of every token."""
        return digest((str(tuple(self.tokens.shape)).encode(), self.tokens, self.ends))

    @cached_property
    def digest(self) -> str:
        """A hash of every token and label."""
        return digest((self.content.encode(), self.labels))


def _like(mask: Tensor, ids: Tensor) -> Tensor:
    return mask[..., None] if ids.ndim == 2 else mask


@dataclass
class TaggedTexts(Texts):
    """Sentences, each word of which has a class: ``tokens`` are (t, 2), see :mod:`tlda.inputs`, ``labels`` those of the m words.

    A batch is of sentences; its classes and rows are those of the words, which ``word_ends`` (n,) counts up to each sentence;
    ``origin`` (m,) says which word of its sentence each is: one that makes no token, or is cut off, is left out.
    """

    word_ends: Tensor
    origin: Tensor

    def __getitem__(self, rows: Tensor) -> Sample:
        words = torch.cat([torch.arange(start, end) for start, end in zip(*self.word_range(rows), strict=True)])
        return Sample(self.padded(rows), self.labels[words], words)

    def word_range(self, rows: Tensor) -> tuple[list[int], list[int]]:
        """The number of the first word of each sentence, and that after its last."""
        ends = self.word_ends[rows]
        return torch.where(rows > 0, self.word_ends[rows - 1], 0).tolist(), ends.tolist()


def encode(texts: Sequence[Any], model: str, max_length: int, what: str, kind: str = "text") -> dict[str, Tensor]:
    """The tokens of ``texts``, kept on disk under the hash of the texts, of the tokenizer and of the options.

    Args:
        texts: strings; lists of words, where ``kind`` is ``words``; pairs of a question and a text, where it is ``spans``.
        model: whose tokenizer it is.
        max_length: the most tokens of a text, those that the tokenizer adds included; what is over is cut off, counted and said.
        what: what a message calls the texts.
        kind: ``text``, ``words`` or ``spans``.

    Returns:
        ``tokens`` and ``ends``, see :class:`Texts`; for words and spans ``origin`` too: the word of each first token, or the two character
        offsets of each token; and how many texts were ``cut``.

    Raises:
        UserError: a question that is too long for any of its text to be read.
    """
    parts = (VERSION, kind.encode(), str(max_length).encode(), model_file(model, TOKENIZER).read_bytes(), *_bytes(texts))
    found = stored(f"tokens/{digest(parts)}", lambda: _encode(load_tokenizer(model), texts, max_length, what, kind))
    if cut := int(found["cut"]):
        warn(f"{cut} of {len(texts)} texts of {what} have more than {max_length} tokens and are cut: see --data.max_length")
    return found


def _bytes(texts: Sequence[Any]) -> list[bytes]:
    total = blake2b()
    for text in texts:
        # Lengths, so that no two lists of texts run together to the same bytes.
        for part in (text,) if isinstance(text, str) else (str(len(text)), *text):
            data = part.encode("utf-8", "surrogatepass")
            total.update(len(data).to_bytes(8, "little") + data)
    return [total.digest()]


def _encode(tokenizer: Any, texts: Sequence[Any], max_length: int, what: str, kind: str) -> dict[str, Tensor]:
    if kind == "spans":
        _require_room(tokenizer, [question for question, _ in texts], max_length, what)
    strategy = "only_second" if kind == "spans" else "longest_first"
    tokenizer.enable_truncation(max_length, strategy=strategy)
    encodings = tokenizer.encode_batch(list(texts), is_pretokenized=kind == "words")
    columns = {"text": lambda e: e.ids, "words": _word_columns, "spans": _span_columns}[kind]
    flat = {"tokens": torch.tensor([row for e in encodings for row in columns(e)], dtype=torch.int32)}
    if kind == "words":
        flat["origin"] = torch.tensor([word for e in encodings for word in first_tokens(e).values()])
        flat["word_counts"] = torch.tensor([len(first_tokens(e)) for e in encodings])
    if kind == "spans":
        flat["origin"] = torch.tensor([offsets for e in encodings for offsets in e.offsets], dtype=torch.int32)
    lengths = torch.tensor([len(e.ids) for e in encodings])
    return flat | {"ends": lengths.cumsum(0), "cut": torch.tensor(sum(bool(e.overflowing) for e in encodings))}


def _require_room(tokenizer: Any, questions: list[str], max_length: int, what: str) -> None:
    """Raise :class:`UserError` where a question, which is never cut, leaves no token of ``max_length`` to its text."""
    room = max_length - tokenizer.num_special_tokens_to_add(is_pair=True)
    for question, encoding in zip(questions, tokenizer.encode_batch(questions, add_special_tokens=False), strict=True):
        if len(encoding) >= room:
            raise UserError(
                f"the question '{shorten(question, 60, placeholder='…')}' of {what} has {len(encoding)} tokens, which leaves none of "
                f"{max_length} to its text: raise --data.max_length, or leave the question out"
            )


def first_tokens(encoding: Encoding) -> dict[int, int]:
    """The number of each word by the place of its first token."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    for place, word in enumerate(encoding.word_ids):
        if word is not None and word not in seen:
            seen.add(word)
            found[place] = word
    return found


def _word_columns(encoding: Any) -> list[tuple[int, int]]:
    first = first_tokens(encoding)
    return [(token, int(place in first)) for place, token in enumerate(encoding.ids)]


def _span_columns(encoding: Any) -> list[tuple[int, int, int]]:
    segments = [0 if segment is None else segment for segment in encoding.sequence_ids]
    return [(token, segment, kind) for token, segment, kind in zip(encoding.ids, segments, encoding.type_ids, strict=True)]
