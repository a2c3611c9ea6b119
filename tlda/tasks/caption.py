"""Words about an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import Metric

from tlda.batch import Inputs, Output
from tlda.errors import UserError
from tlda.metrics.captions import CaptionScore, Score, bleu, cider, exact, spoken, word_f1
from tlda.nn.caption_decoder import CaptionDecoder
from tlda.tasks.base import Task
from tlda.tasks.place import Place


@dataclass
class Caption(Task):
    """A caption of ``words`` per row, which a decoder writes word by word from the features of an image.

    A row of features is an image, so that losses that compare features run as on images; a caption has no classes. Labels are word
    numbers (n, l) from 1, the number of words + 1 at the end, and -1 after it; 0 is a word that training had not.

    Args:
        words: the vocabulary.
        length: the most words of a caption, its end among them.
        decoder: a ``gru``, or a ``transformer`` of two layers.
        width: the width of the decoder's states, a multiple of 4.
        beams: the captions that the search follows at a time; 1 is greedy.
        pictures: whether the decoder sees the features: without, its captions are those of no picture, which others must be above.

    Raises:
        UserError: no words, or an option out of its range.
    """

    words: Sequence[str]
    length: int
    decoder: Literal["gru", "transformer"] = "gru"
    width: int = 256
    beams: int = 1
    pictures: bool = True

    headline: ClassVar[str] = "word_f1"

    def __post_init__(self) -> None:
        if not self.words or self.length < 2 or self.beams < 1 or self.width < 4 or self.width % 4:
            what = f"{len(self.words)} words, length {self.length}, width {self.width} and {self.beams} beams"
            raise UserError(f"a caption has {what}: give a word, a length of 2 or more, a width that 4 divides, and a beam or more")

    @property
    def outputs(self) -> Sequence[str]:
        return self.words

    def head(self, num_features: int) -> nn.Module:
        return CaptionDecoder(num_features, len(self.words), self.length, self.decoder, self.width, self.beams, self.pictures)

    def known(self, y: Tensor) -> Tensor:
        return y >= 0 if y.ndim == 1 else (y >= 0).any(1)

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """The mean cross-entropy, in nats per word, of logits (n, l, words + 2) to labels (n, l)."""
        return self._each(logits, y).sum() / (y >= 0).sum().clamp_min(1)

    def risk(self, logits: Tensor, y: Tensor) -> Tensor:
        return self._each(logits, y).sum(1) / (y >= 0).sum(1).clamp_min(1)

    def _each(self, logits: Tensor, y: Tensor) -> Tensor:
        if logits.ndim != 3:
            raise UserError("a caption that was written has no loss, which is of the words that are taught: select by word_f1 instead")
        return cross_entropy(logits.flatten(0, 1).float(), y.flatten(), ignore_index=-1, reduction="none").view_as(y)

    def metrics(self, place: Place) -> dict[str, Metric]:
        scores: dict[str, Score] = {"word_f1": word_f1, "exact": exact, "bleu2": partial(bleu, order=2), "cider": cider}
        return {name: CaptionScore(score, numbers, len(self.words) + 1, self.length) for name, score in scores.items()}

    def answers(self, output: Output, x: Inputs) -> dict[str, Sequence[object]]:
        said = [spoken(row, len(self.words) + 1) for row in numbers(output.logits).tolist()]
        captions = [" ".join(self.words[number - 1] for number in row) for row in said]
        return {"caption": captions, "log_probability": output.logits[:, -1].tolist()}


def numbers(logits: Tensor) -> Tensor:
    """The word numbers (n, length) of captions that were written, without their log-probability."""
    return logits[:, :-1].long()
