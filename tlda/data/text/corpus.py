"""Plain text of two domains, for language models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from tlda.backbones.language_model import SMOLLM
from tlda.backbones.text import TOKENIZER, load_tokenizer, model_file
from tlda.batch import PAD, Sample
from tlda.data.arrays import digest
from tlda.data.cache import stored
from tlda.data.pooling import Name
from tlda.data.rows import Domain, New
from tlda.data.text.base import TextPair
from tlda.data.text.documents import Document, documents
from tlda.data.text.tokens import Texts
from tlda.errors import UserError, warn
from tlda.inputs import END
from tlda.options.recorded import Plain
from tlda.tasks import NextToken, Task

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION = b"1"
"""Part of the names of what is kept. Raise it when a change of this file changes what is made."""

SEPARATORS = ("<|endoftext|>", "</s>", "<eos>", "[SEP]", "<|im_end|>")
"""The tokens that end a document; the first that a tokenizer has is taken."""


@dataclass
class Chunks:
    """The tokens (t,) of documents one after the other, cut into rows of ``length``, each of whose labels is the token that comes next.

    ``sizes`` (t,) are the bytes of the text that each token stands for, ``ends`` (t,) mark the last token of each document, and ``kept``
    (n,) are the numbers of the rows that there are. Documents ``apart`` do not see, nor predict, one another.
    A row of a batch is a token: its ``row`` is the number of its label among all tokens.
    """

    tokens: Tensor
    sizes: Tensor
    ends: Tensor
    length: int
    apart: bool
    kept: Tensor

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def labels(self) -> Tensor:
        """Zeros (n,): each row has the labels of its tokens."""
        return torch.zeros(len(self), dtype=torch.long)

    def __getitem__(self, rows: Tensor) -> Sample:
        place = self.kept[rows][:, None] * self.length + torch.arange(self.length)
        there, inside = place < len(self.tokens), place.clamp_max(len(self.tokens) - 1)
        final = self.ends[inside] if self.apart else inside == len(self.tokens) - 1
        marks = torch.where(final, END if self.apart else 0, 1).masked_fill(~there, PAD)
        ids = self.tokens[inside].long().masked_fill(~there, PAD)
        following = place[marks == 1] + 1
        return Sample(torch.stack((ids, marks), -1), self.tokens[following].long(), following)

    @cached_property
    def content(self) -> str:
        """A hash of every token."""
        options = f"{self.length} {self.apart}".encode()
        return digest((options, self.tokens, self.sizes, self.ends, self.kept))

    @property
    def digest(self) -> str:
        """A hash of every token, which are the labels too."""
        return self.content

    def texts(self) -> Texts:
        """The rows as texts to be continued."""
        starts = self.kept * self.length
        ends = (starts + self.length).clamp_max(len(self.tokens))
        places = torch.cat([torch.arange(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)])
        return Texts(self.tokens[places], (ends - starts).cumsum(0), torch.full((len(self),), -1))


class Corpus(TextPair):
    """Plain text of two domains, packed to rows of one length, for causal language models: each token's label is the next one.

    The target is the new domain, and the source the old or general one, whose perplexity beside the target's says what is forgotten.
    A domain is a file, a folder, or ``package:NAME`` of an installed package with one file of text: see
    :func:`tlda.data.text.documents.documents`. The last ``holdout`` of each measures, and the rest trains. ``predict`` continues the
    measured rows of the target, or each line of a file of ``--inputs``.

    Args:
        source: the text of the old domain.
        target: the text of the new one.
        text: the column of the texts, where a file has columns.
        tokenizer: the model whose tokenizer makes the tokens: the same that the backbone LanguageModel names.
        max_length: the tokens of a row.
        apart: whether documents do not see one another: attention stops at their ends, and positions start over.
        measured: the most rows of either domain that are measured, at equal distances; by default all that are held out.
        continuation: how many tokens ``predict`` adds to a row.
        holdout: the fraction of each domain that measures.
        eval_batch_size: the rows of a batch where nothing is trained, the logits of all of whose tokens are in memory at once.
        **kwargs: see :class:`TextPair`.

    Raises:
        UserError: a file that is missing or has no text; a text too short for two rows.
    """

    def __init__(
        self,
        source: Name,
        target: Name,
        text: Name = "text",
        tokenizer: str = SMOLLM,
        max_length: int = 128,
        apart: bool = False,
        measured: int | None = None,
        continuation: int = 32,
        eval_batch_size: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, max_length, eval_batch_size=eval_batch_size, **kwargs)
        self.source, self.target, self.text = str(source), str(target), str(text)
        if measured is not None and measured < 1:
            raise UserError(f"--data.measured is {measured}: it is a number of rows, 1 or more")
        self.apart, self.measured, self.continuation = apart, measured, continuation

    @property
    def transfer(self) -> str:
        return "_to_".join(Path(name.partition(":")[2] or name).stem for name in (self.source, self.target))

    @cached_property
    def task(self) -> Task:
        tokenizer = load_tokenizer(self.tokenizer)
        separator = separator_of(tokenizer)
        end = -1 if separator is None else separator
        return NextToken(tokenizer.get_vocab_size(), self.tokenizer, self.continuation, end)

    def load(self) -> tuple[Domain, Domain]:
        """The rows of both domains, those that train and those that measure."""
        return self._domain(self.source), self._domain(self.target)

    def predict_dataloader(self) -> DataLoader[Any]:
        rows: Any = self.loaded[1].test
        return self._evaluation(rows.texts())

    def read_new(self, place: str, fitted: Plain) -> New:
        found = documents(place, self.text)
        if Path(place).suffix == ".txt":
            lines = [(number, line) for number, line in enumerate(found[0].text.split("\n"), 1) if line.strip()]
            found = [Document(line, f"{place}, line {number}") for number, line in lines]
        tokens = [encoding.ids for encoding in _encoded(load_tokenizer(self.tokenizer), [document.text for document in found])]
        if cut := sum(len(ids) > self.max_length for ids in tokens):
            told = f"{cut} of {len(tokens)} texts of {place} have more than {self.max_length} tokens"
            warn(f"{told}: the ends are continued, see --data.max_length")
        last = [torch.tensor(ids[-self.max_length :], dtype=torch.int32) for ids in tokens]
        ends = torch.tensor([len(ids) for ids in last]).cumsum(0)
        return New(Texts(torch.cat(last), ends, torch.full((len(last),), -1)), [document.place for document in found])

    def describe_row(self, row: int) -> str:
        rows: Any = self.loaded[1].test
        return f"{self.target}, token {int(rows.kept[row]) * self.max_length}"

    def _domain(self, name: str) -> Domain:
        found = packed(documents(name, self.text), self.tokenizer)
        count = (len(found["tokens"]) - 1 + self.max_length - 1) // self.max_length
        held = min(max(1, round(self.holdout * count)), count - 1)
        if count < 2:
            raise UserError(
                f"'{name}' has {len(found['tokens'])} tokens, too few for a row of {self.max_length} to train on and one to measure: "
                "give more text, or a lower --data.max_length"
            )
        measured = min(held, self.measured or held)
        places = count - held + (torch.arange(measured) * held) // measured
        rows = (torch.arange(count - held), places)
        train, test = (Chunks(found["tokens"], found["sizes"], found["ends"], self.max_length, self.apart, kept) for kept in rows)
        return Domain(name, train, test)


def separator_of(tokenizer: Tokenizer) -> int | None:
    """The token that ends a document, None where the ``tokenizer`` has none of :data:`SEPARATORS`."""
    return next((number for name in SEPARATORS if (number := tokenizer.token_to_id(name)) is not None), None)


def packed(texts: Sequence[Document], model: str) -> dict[str, Tensor]:
    """The ``tokens`` of ``texts`` one after the other, each text with a separator after it, kept on disk.

    Args:
        texts: the documents.
        model: whose tokenizer it is.

    Returns:
        ``tokens`` (t,); ``sizes`` (t,), the bytes of each, with the white space before it; and ``ends`` (t,), the last of each text.
    """
    whole = [document.text for document in texts]
    parts = (VERSION, model_file(model, TOKENIZER).read_bytes(), *(text.encode("utf-8", "surrogatepass") + b"\0" for text in whole))
    return stored(f"corpora/{digest(parts)}", lambda: _packed(load_tokenizer(model), whole))


def _encoded(tokenizer: Any, texts: Sequence[str]) -> list[Any]:
    found: list[Any] = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return found


def _packed(tokenizer: Any, texts: Sequence[str]) -> dict[str, Tensor]:
    separator = separator_of(tokenizer)
    after = [] if separator is None else [separator]
    tokens, sizes, ends = [], [], []
    for text, encoding in zip(texts, _encoded(tokenizer, texts), strict=True):
        own = [*encoding.ids, *after]
        tokens += own
        sizes += [*_sizes(text, [end for _, end in encoding.offsets]), *[0] * len(after)]
        ends += [0] * (len(own) - 1) + [1] * bool(own)
    return {
        "tokens": torch.tensor(tokens, dtype=torch.int32),
        "sizes": torch.tensor(sizes, dtype=torch.int32),
        "ends": torch.tensor(ends, dtype=torch.bool),
    }


def _sizes(text: str, ends: Sequence[int]) -> list[int]:
    """The bytes of ``text`` up to each of the character positions ``ends`` that no earlier token stands for."""
    found, done = [], 0
    for end in ends:
        found.append(len(text[done:end].encode("utf-8", "surrogatepass")))
        done = max(done, end)
    return found
