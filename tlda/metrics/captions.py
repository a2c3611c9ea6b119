"""How near generated captions are to written ones: overlap of words, BLEU and CIDEr."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchmetrics import Metric

from tlda.batch import PAD, Sample

Words = Sequence[Hashable]
"""A caption: words, or their numbers."""

Score = Callable[[Sequence[Words], Sequence[Words]], float]
"""Generated and written captions to a number."""


def word_f1(found: Sequence[Words], wanted: Sequence[Words]) -> float:
    """The mean F1 of the words of captions, whatever their order, as SQuAD has it of answers (Rajpurkar et al., EMNLP 2016, sec. 6.1).

    Example:
        >>> word_f1([["red", "apple"]], [["green", "apple"]])
        0.5
    """
    return sum(_f1(*pair) for pair in zip(found, wanted, strict=True)) / max(len(wanted), 1)


def _f1(found: Words, wanted: Words) -> float:
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted)) if common else 0.0


def exact(found: Sequence[Words], wanted: Sequence[Words]) -> float:
    """The fraction of captions that are word for word those written."""
    return sum(list(one) == list(other) for one, other in zip(found, wanted, strict=True)) / max(len(wanted), 1)


def ngrams(words: Words, order: int) -> Counter[tuple[Hashable, ...]]:
    """How often each run of ``order`` words occurs."""
    return Counter(tuple(words[start : start + order]) for start in range(len(words) - order + 1))


def bleu(found: Sequence[Words], wanted: Sequence[Words], order: int = 4) -> float:
    r"""BLEU of all captions together, one written caption each, without smoothing (Papineni et al., ACL 2002, sec. 2.3).

    .. math:: \min(1, e^{1 - r / c}) \prod_{n=1}^{N} p_n^{1 / N}

    Args:
        found: the generated captions, of ``c`` words together.
        wanted: the written ones, of ``r`` words.
        order: the longest runs of words, N.

    Example:
        >>> bleu([["a", "red", "apple"]], [["a", "red", "pear"]], order=2)
        0.5773502691896257
    """
    lengths = [sum(map(len, captions)) for captions in (found, wanted)]
    logs = 0.0
    for n in range(1, order + 1):
        counts = [(ngrams(one, n), ngrams(other, n)) for one, other in zip(found, wanted, strict=True)]
        hits, total = sum((one & other).total() for one, other in counts), sum(one.total() for one, _ in counts)
        if not hits:
            return 0.0
        logs += math.log(hits / total) / order
    return math.exp(min(0.0, 1 - lengths[1] / lengths[0]) + logs)


def cider(found: Sequence[Words], wanted: Sequence[Words]) -> float:
    r"""CIDEr, one written caption each, words as they are (Vedantam et al., CVPR 2015, eq. 1-3), times 10 as usual.

    .. math:: \frac{10}{4} \sum_{n=1}^{4} \frac{1}{m} \sum_i \frac{g^n(c_i) \cdot g^n(s_i)}{\|g^n(c_i)\| \|g^n(s_i)\|}

    ``g`` weighs a run of n words by its share of the caption's and by the logarithm of the number of written captions over that of those
    which have it. A caption shorter than n counts 0 for it, so that names of one or two words never reach 10.

    Example:
        >>> round(cider([["red", "apple"], ["green", "pear"]], [["red", "apple"], ["blue", "plum"]]), 4)
        2.5
    """
    total = 0.0
    for n in range(1, 5):
        documents = Counter(gram for words in wanted for gram in ngrams(words, n))
        own = [[_weighed(words, n, documents, len(wanted)) for words in pair] for pair in zip(found, wanted, strict=True)]
        total += sum(_cosine(*pair) for pair in own) / max(len(wanted), 1)
    return 10 * total / 4


def _weighed(words: Words, n: int, documents: Counter[tuple[Hashable, ...]], count: int) -> dict[tuple[Hashable, ...], float]:
    grams = ngrams(words, n)
    return {gram: times / grams.total() * math.log(count / max(documents[gram], 1)) for gram, times in grams.items()}


def _cosine(one: dict[tuple[Hashable, ...], float], other: dict[tuple[Hashable, ...], float]) -> float:
    product = sum(weight * other.get(gram, 0.0) for gram, weight in one.items())
    lengths = [math.sqrt(sum(weight**2 for weight in each.values())) for each in (one, other)]
    return product / (lengths[0] * lengths[1]) if product else 0.0


class CaptionScore(Metric):
    """A score of all captions of a place together, in 0..1, of CIDEr in 0..10.

    Args:
        score: the function of generated and written captions.
        decoded: what the logits say, word numbers (n, l), with ``end`` after their end.
        end: the number that ends a caption.
        length: the most numbers of a caption, its end among them.
    """

    is_differentiable = False
    full_state_update = False
    higher_is_better = True
    found: list[Tensor]
    wanted: list[Tensor]

    def __init__(self, score: Score, decoded: Callable[[Tensor], Tensor], end: int, length: int) -> None:
        super().__init__()
        self.score, self.decoded, self.end, self.length = score, decoded, end, length
        self.add_state("found", [], dist_reduce_fx="cat")
        self.add_state("wanted", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, batch: Sample) -> None:
        """Keep the captions of a batch."""
        for kept, ids in ((self.found, self.decoded(logits)), (self.wanted, batch.y)):
            kept.append(pad(ids, (0, self.length - ids.shape[1]), value=PAD))

    def compute(self) -> Tensor:
        """The score of all captions that were kept."""
        found, wanted = ([spoken(row, self.end) for row in torch.cat(list(kept)).tolist()] for kept in (self.found, self.wanted))
        return torch.tensor(self.score(found, wanted))


def spoken(ids: Sequence[int], end: int) -> list[int]:
    """The word numbers before the end of a caption."""
    return [number for number in (ids[: ids.index(end)] if end in ids else ids) if number != PAD]
