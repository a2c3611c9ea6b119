"""A head of prompts that has words of its own for each of two domains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from tlda.backbones.prompt_head import PromptHead
from tlda.backbones.text import load_tokenizer
from tlda.backbones.text_tower import TextTower


class DomainPrompts(PromptHead):
    """Cosines with sentences whose first words both domains share, and whose next ones are a domain's own; all of them are learnt.

    It answers, features (n, d) to logits (n, classes), by the sentences of the second domain, the target.

    Args:
        tower: the tower of texts.
        inside: the modules of the backbone.
        classes: the names of the classes.
        words: what the shared vectors are at first, of which there is one per token.
        domain_words: what those of each domain are at first.
    """

    def __init__(self, tower: TextTower, inside: Iterable[nn.Module], classes: Sequence[str], words: str, domain_words: str) -> None:
        super().__init__(tower, inside, classes, [f"{words} {domain_words} {{}}."] * 2, words)
        count = len(load_tokenizer(tower.name).encode(domain_words, add_special_tokens=False).ids)
        assert self.context is not None  # the words, which are learnt
        self.domains = nn.Parameter(torch.empty(2, count, self.context.shape[1]))
        self.start()

    @torch.no_grad()
    def start(self) -> None:
        super().start()
        if hasattr(self, "domains") and self.context is not None:  # the base class starts before they are made
            first = 1 + len(self.context)
            self.domains.copy_(self.tower[0].embedding[0](self.ids[:2, first : first + self.domains.shape[1]]))

    def texts(self, classes: Tensor, prompts: Tensor) -> Tensor:
        """The features (n, d) of the sentences of ``classes`` (n,) in the domains ``prompts`` (n,), by their numbers."""
        assert self.context is not None
        vectors = torch.cat((self.context.expand(len(prompts), -1, -1), self.domains[prompts]), 1)
        return self.tower[0].with_context(self.ids[classes * 2 + prompts], vectors)

    def of(self, domains: Sequence[int]) -> Tensor:
        """The direction of each class in each of ``domains``, one domain after the other, of length 1."""
        count = self.shape[0]
        numbers = torch.tensor(domains, device=self.ids.device).repeat_interleave(count)
        return normalize(self.texts(torch.arange(count, device=numbers.device).repeat(len(domains)), numbers), dim=1)

    def directions(self) -> Tensor:
        return self.of([1])

    def of_both(self, features: Tensor) -> Tensor:
        """The logits (n, 2 classes) of features (n, d) by the sentences of the first domain, then of the second."""
        return linear(normalize(features, dim=1), self.of([0, 1])) / self.tower[0].temperature
