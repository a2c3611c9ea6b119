"""The tower of texts beside one of images: sentences to directions in a space that both share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tlda.backbones.text import load_tokenizer
from tlda.batch import PAD
from tlda.errors import UserError

PROMPTS = ("a photo of a {}.",)
"""The sentences that a class's name is put into (Radford et al., ICML 2021, sec. 3.1.4)."""


class TextTower(nn.Module):
    """An encoder of texts and a projection: token ids (n, l) to features (n, d), whose lengths mean nothing.

    Args:
        name: the model, whose tokenizer makes the ids.
        encoder: token ids (n, l), with :data:`tlda.batch.PAD` after their end, to features (n, w).
        projection: those features to the space of the images.
        embedding: the part of ``encoder`` that gives each token its vector.
        limit: the most tokens of a text, or None.
        log_scale: the logarithm of what multiplies the cosines of texts and images.
    """

    def __init__(
        self, name: str, encoder: nn.Module, projection: nn.Module, embedding: nn.Module, limit: int | None, log_scale: float
    ) -> None:
        super().__init__()
        self.encoder, self.projection, self.log_scale = encoder, projection, nn.Parameter(torch.tensor(log_scale))
        self.name, self.limit, self.embedding = name, limit, [embedding]

    @property
    def temperature(self) -> Tensor:
        """What divides the cosines of texts and images, a scalar."""
        return (-self.log_scale).exp()

    def tokens(self, sentences: Sequence[str]) -> Tensor:
        """The token ids (n, l) of ``sentences``, with :data:`tlda.batch.PAD` after the end of each.

        Raises:
            UserError: a sentence is too long.
        """
        tokenizer = load_tokenizer(self.name)
        ids = [tokenizer.encode(sentence).ids for sentence in sentences]
        for sentence, found in zip(sentences, ids, strict=True):
            if self.limit and len(found) > self.limit:
                raise UserError(f"'{self.name}' takes at most {self.limit} tokens, and '{sentence}' has {len(found)}: shorten the prompt")
        return nn.utils.rnn.pad_sequence([torch.tensor(found) for found in ids], batch_first=True, padding_value=PAD)

    def forward(self, ids: Tensor) -> Tensor:
        features: Tensor = self.projection(self.encoder(ids))
        return features

    def with_context(self, ids: Tensor, context: Tensor) -> Tensor:
        """The features (n, d) of texts whose tokens after the first are replaced by the vectors ``context`` (m, e) or (n, m, e)."""

        def replaced(module: nn.Module, given: object, output: Tensor) -> Tensor:
            spread = context.expand(len(output), -1, -1).to(output)
            return torch.cat([output[:, :1], spread, output[:, 1 + spread.shape[1] :]], 1)

        hook = self.embedding[0].register_forward_hook(replaced)
        try:
            return cast(Tensor, self(ids))
        finally:
            hook.remove()

    def directions(self, classes: Sequence[str], prompts: Sequence[str] = PROMPTS) -> Tensor:
        """Write a zero-shot classifier: a direction (classes, d) of length 1 per class.

        A direction is the mean over ``prompts`` of the directions of the sentences with the class's name in place of ``{}``, in which an
        underscore is a space (Radford et al., ICML 2021, sec. 3.1.4).

        Args:
            classes: the names of the classes.
            prompts: the sentences, with ``{}`` each.

        Raises:
            UserError: a sentence is too long.
        """
        ids = self.tokens([prompt.replace("{}", spoken(name)) for name in classes for prompt in prompts])
        each = normalize(self(ids.to(next(self.parameters()).device)), dim=1)
        return normalize(each.view(len(classes), len(prompts), -1).mean(1), dim=1)


def spoken(name: str) -> str:
    """The name of a class as a sentence has it: without underscores."""
    return name.replace("_", " ")


@runtime_checkable
class HasTexts(Protocol):
    """A backbone of images with a tower of texts beside it."""

    def text_tower(self) -> TextTower: ...


def tower_of(backbone: object) -> TextTower:
    """The tower of texts beside a ``backbone`` of images.

    Raises:
        UserError: there is none.
    """
    if not isinstance(backbone, HasTexts):
        raise UserError(f"{type(backbone).__name__} has no tower of texts: use CLIP or Towers")
    return backbone.text_tower()
