"""Words one after the other, from the features of an image: a recurrent or an attending decoder, and the search for a likely caption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

UNKNOWN = 0
"""The number of a word that is not in the vocabulary: it may be read, and is never said."""

Step = Callable[[Tensor, Tensor], Tensor]
"""The word numbers (m, t) so far and the row of each (m,), to the log-probabilities of the next word (m, v)."""


def beam_search(step: Step, rows: int, length: int, end: int, beams: int) -> tuple[Tensor, Tensor]:
    """The most likely sequence of each row that a beam finds, (rows, ``length``), ``end`` after its end, and its log-probability (rows,).

    Args:
        step: the log-probabilities of the next word.
        rows: the number of rows.
        length: the most words, the end among them.
        end: the number that ends a sequence.
        beams: the sequences that are followed at a time; 1 is greedy.
    """
    some = step(torch.zeros(rows, 0, dtype=torch.long), torch.arange(rows))
    tokens, scores = torch.zeros(rows, 1, 0, dtype=torch.long, device=some.device), some.new_zeros(rows, 1)
    done, words = scores > 0, some.shape[1]
    for _ in range(length):
        flat = tokens.flatten(0, 1)
        row = torch.arange(rows, device=some.device).repeat_interleave(tokens.shape[1])
        nexts = step(flat, row).view(rows, -1, words).masked_fill(done[..., None], -torch.inf)
        nexts[..., end] = torch.where(done, 0.0, nexts[..., end])
        scores, best = (scores[..., None] + nexts).flatten(1).topk(min(beams, nexts.shape[1] * words))
        parent = best // words
        tokens = torch.cat([tokens.gather(1, parent[..., None].expand(-1, -1, tokens.shape[2])), (best % words)[..., None]], 2)
        done = done.gather(1, parent) | (best % words == end)
        if done.all():
            break
    return nn.functional.pad(tokens[:, 0], (0, length - tokens.shape[2]), value=end), scores[:, 0]


class Recurrent(nn.Module):
    """A GRU over the sequence."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        states: Tensor = self.gru(x)[0]
        return states


class Attending(nn.Module):
    """Two layers of a transformer, in which a place looks at those before it."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True, norm_first=True, dropout=0.1)
        self.layers = nn.TransformerEncoder(layer, 2, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        states: Tensor = self.layers(x + self.places[: x.shape[1]], mask=later)
        return states


class CaptionDecoder(nn.Module):
    """The head of a caption: features (r, d) of images to words, of which the last number, ``words`` + 1, ends a caption.

    In training it hands the features on, and :meth:`with_labels` makes logits of the words that are taught. In evaluation it searches for
    a likely caption, and gives (r, ``length`` + 1): its word numbers, and the logarithm of its probability.

    Args:
        num_features: the width of the features.
        words: the words of the vocabulary, numbered from 1; 0 is a word that is not in it, which is never said.
        length: the most words of a caption, its end among them.
        kind: a ``gru`` or a ``transformer``.
        width: the width of the states, a multiple of 4.
        beams: the captions that the search follows at a time; 1 is greedy.
        pictures: whether it sees the features at all.
    """

    def __init__(
        self, num_features: int, words: int, length: int, kind: Literal["gru", "transformer"], width: int, beams: int, pictures: bool
    ) -> None:
        super().__init__()
        self.length, self.end, self.beams, self.pictures = length, words + 1, beams, pictures
        self.first, self.embedding = nn.Linear(num_features, width), nn.Embedding(words + 2, width)
        self.mixer = Recurrent(width, length) if kind == "gru" else Attending(width, length)
        self.dropout, self.last = nn.Dropout(0.3), nn.Linear(width, words + 2)

    def nexts(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Logits (r, t + 1, words + 2) of each word by those before it, of word numbers (r, t). Each step sees the features."""
        seen = self.first(features if self.pictures else torch.zeros_like(features))[:, None]
        words = self.embedding(tokens.clamp_min(0))
        sequence = seen + torch.cat([torch.zeros_like(seen), words], 1)
        logits: Tensor = self.last(self.dropout(self.mixer(self.dropout(sequence))))
        return logits

    def with_labels(self, features: Tensor, y: Tensor) -> Tensor:
        """The logits (r, l, words + 2) of the words ``y`` (r, l), each by the written ones before it (teacher forcing)."""
        return self.nexts(features, y[:, :-1])

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            return features

        def step(tokens: Tensor, row: Tensor) -> Tensor:
            logits = self.nexts(features[row.to(features.device)], tokens.to(features.device))[:, -1].float()
            return logits.index_fill(1, torch.tensor([UNKNOWN], device=logits.device), -torch.inf).log_softmax(1)

        tokens, score = beam_search(step, len(features), self.length, self.end, self.beams)
        return torch.cat([tokens.float(), score[:, None]], 1)
