"""Sentences whose words have classes: parts of speech by genre, and entities by domain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tlda.data.pooling import Name, require_apart
from tlda.data.rows import Domain
from tlda.data.text.base import TextPair, data_path
from tlda.data.text.reading import Sentence, columns, conllu, require_bio
from tlda.data.text.tokens import TaggedTexts, encode
from tlda.errors import UserError, near
from tlda.tasks import Task, Words

UPOS = ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X")
"""The universal parts of speech."""

CONLLU = {"train": ("*train*.conllu", "*dev*.conllu"), "test": ("*test*.conllu",)}
"""The CoNLL-U files of each part: the first of these names that there are."""


class Tagging(TextPair):
    """Words with tags: features, logits, labels and rows are those of words, at the first token of each, see :mod:`tlda.inputs`.

    A folder of CoNLL-U files has parts of speech, and its domains are genres, what ``# newdoc id`` has before its first ``-``; it trains
    on the sentences of ``*train*.conllu``, else of ``*dev*``, and measures those of ``*test*``. A folder of ``DOMAIN/train.txt`` and
    ``test.txt`` with lines ``WORD<TAB>TAG`` has entities in BIO tags: those of types that only one of the two domains has are tagged O.

    Args:
        source: the domain with labels; several with ``+`` between them are one. The same as the target measures without a shift.
        target: the domain without.
        root: the folder, found where the command runs or in ``TLDA_DATA``.
        types: the types of entities; by default those that both domains have.
        shots: the labelled sentences that a supervised setting may see of the target; null for all.
        **kwargs: see :class:`TextPair`.

    Raises:
        UserError: an unknown domain or tag, with the near name; the target among several sources; no file to train or to measure on;
            words and tags that do not align; BIO tags in which I- begins an entity.
    """

    def __init__(
        self,
        source: Name = "reviews",
        target: Name = "email",
        root: str = "ud_english_ewt",
        types: list[Name] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source, self.target, self.root = str(source), str(target), root
        self.types = None if types is None else [str(name) for name in types]
        require_apart(self.source.split("+"), self.target.split("+"))

    @cached_property
    def folder(self) -> Path:
        """The folder of the files."""
        return data_path(None, self.root)

    @cached_property
    def has_genres(self) -> bool:
        """Whether the files are CoNLL-U."""
        return any(self.folder.glob("*.conllu"))

    @cached_property
    def sentences(self) -> list[dict[str, list[Sentence]]]:
        """The sentences of source and target by ``train`` and ``test``."""
        read = self._genres if self.has_genres else self._domains
        return [{part: read(names, part) for part in ("train", "test")} for names in (self.source, self.target)]

    @cached_property
    def task(self) -> Task:
        """The tags of words: parts of speech, or B and I of each type of entity that both domains have, and O."""
        if self.has_genres:
            return Words(list(UPOS), ["macro_f1"])
        found = [{tag[2:] for part in domain.values() for s in part for tag in s.tags if tag != "O"} for domain in self.sentences]
        shared = sorted(found[0] & found[1])
        for name in self.types or ():
            if name not in shared:
                raise UserError(
                    f"--data.types names '{name}', which is no type of both {self.source} and {self.target}{near(name, shared)}"
                )
        return Words(["O", *(f"{place}-{name}" for name in self.types or shared for place in "BI")], ["macro_f1", "f1"])

    def load(self) -> tuple[Domain, Domain]:
        source, target = (
            Domain(name, self._words(domain["train"], f"'{name}'"), self._words(domain["test"], f"'{name}'"))
            for name, domain in zip((self.source, self.target), self.sentences, strict=True)
        )
        return source, target

    def describe_row(self, row: int) -> str:
        rows: Any = self.loaded[1].test
        sentence = int((rows.word_ends <= row).sum())
        return f"{self.sentences[1]['test'][sentence].place} {self._word(sentence, row)}"

    def _word(self, sentence: int, row: int) -> str:
        rows: Any = self.loaded[1].test
        return self.sentences[1]["test"][sentence].words[int(rows.origin[row])]

    def _words(self, sentences: Sequence[Sentence], what: str) -> TaggedTexts:
        found = encode([s.words for s in sentences], self.tokenizer, self.max_length, what, "words")
        sentence = torch.arange(len(sentences)).repeat_interleave(found["word_counts"])
        pairs = zip(sentence.tolist(), found["origin"].tolist(), strict=True)
        labels = torch.tensor([self._label(sentences[number], word) for number, word in pairs])
        return TaggedTexts(found["tokens"], found["ends"], labels, found["word_counts"].cumsum(0), found["origin"])

    def _label(self, sentence: Sentence, word: int) -> int:
        tag = sentence.tags[word]
        if tag in self.task.label_names:
            return list(self.task.label_names).index(tag)
        if self.has_genres:
            raise UserError(f"{sentence.place} word {word + 1}, '{sentence.words[word]}', has the tag '{tag}'{near(tag, UPOS)}")
        return 0

    def _genres(self, names: str, part: str) -> list[Sentence]:
        files = next((paths for pattern in CONLLU[part] if (paths := sorted(p for p in self.folder.glob(pattern) if p.name[0] != "."))), [])
        if not files:
            raise UserError(f"{self.folder} has no {' or '.join(CONLLU[part])}: put the file of its {part} sentences there")
        found = [item for path in files for item in conllu(path)]
        known = {genre for genre, _ in found}
        for name in names.split("+"):
            if name not in known:
                raise UserError(f"there is no genre '{name}' in {', '.join(map(str, files))}{near(name, known)}")
        return [sentence for genre, sentence in found if genre in names.split("+")]

    def _domains(self, names: str, part: str) -> list[Sentence]:
        known = {path.parent.name for path in self.folder.glob("[!.]*/train.txt")}
        if not known:
            raise UserError(f"{self.folder} has neither *.conllu nor DOMAIN/train.txt: set --data.root to a folder of tagged words")
        found: list[Sentence] = []
        for name in names.split("+"):
            if name not in known:
                raise UserError(f"there is no domain '{name}' in {self.folder}{near(name, known)}")
            found += _checked(columns(self.folder / name / f"{part}.txt"))
        return found


def _checked(sentences: Iterator[Sentence]) -> Iterator[Sentence]:
    for sentence in sentences:
        require_bio(sentence)
        yield sentence
