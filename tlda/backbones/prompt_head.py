"""A head that a tower of texts writes anew whenever training has changed it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from tlda.backbones.text import load_tokenizer
from tlda.backbones.text_tower import PROMPTS, TextTower, spoken
from tlda.errors import UserError


class PromptHead(nn.Module):
    """Cosines with the directions of sentences, over the tower's temperature: features (n, d) to logits (n, classes).

    In training the directions are computed at each step, else once. A tower that is a part of the backbone is that part; another is a part
    of this, frozen.

    Args:
        tower: the tower of texts.
        inside: the modules of the backbone.
        classes: the names of the classes.
        prompts: the sentences, with ``{}`` each, whose directions are averaged.
        learnt: the first words of the one prompt, whose vectors are learnt; empty for none.

    Raises:
        UserError: a sentence is too long, or a prompt has no place for a name.
    """

    def __init__(
        self, tower: TextTower, inside: Iterable[nn.Module], classes: Sequence[str], prompts: Sequence[str] = PROMPTS, learnt: str = ""
    ) -> None:
        super().__init__()
        if not prompts or any("{}" not in prompt for prompt in prompts):
            raise UserError(f"--model.prompts is {list(prompts)}: give sentences with {{}} each, where the name of a class stands")
        self.own = None if any(tower is module for module in inside) else tower
        self.tower, self.shape = [tower], (len(classes), len(prompts))
        self.register_buffer("ids", tower.tokens([p.replace("{}", spoken(c)) for c in classes for p in prompts]), persistent=False)
        self.context: nn.Parameter | None = None
        if learnt:
            count = len(load_tokenizer(tower.name).encode(learnt, add_special_tokens=False).ids)
            self.context = nn.Parameter(torch.empty(count, tower.embedding[0](self.ids[:1, :1]).shape[-1]))
            self.start()
        self.encoded: Tensor | None = None
        self.written: Tensor | None = None

    ids: Tensor

    @torch.no_grad()
    def start(self) -> None:
        """Take the vectors of the words for those that are learnt."""
        if self.context is not None:
            self.context.copy_(self.tower[0].embedding[0](self.ids[0, 1 : 1 + len(self.context)]))

    def texts(self, classes: Tensor, prompts: Tensor) -> Tensor:
        """The features (n, d) of the sentences of ``classes`` (n,) in ``prompts`` (n,), by their numbers."""
        rows = classes * self.shape[1] + prompts
        tower = self.tower[0]
        if self.context is not None:
            return tower.with_context(self.ids[rows], self.context)
        if any(parameter.requires_grad for parameter in tower.encoder.parameters()):
            return cast(Tensor, tower(self.ids[rows]))
        if self.encoded is None or self.encoded.device != self.ids.device:
            with torch.inference_mode(False), torch.no_grad():  # also in a validation, whose tensors no training could use
                self.encoded = tower.encoder(self.ids)
        return cast(Tensor, tower.projection(self.encoded[rows]))

    def directions(self) -> Tensor:
        """The direction of each class, (classes, d), of length 1."""
        count, prompts = self.shape
        every = torch.arange(count * prompts, device=self.ids.device)
        each = normalize(self.texts(every // prompts, every % prompts), dim=1)
        return normalize(each.view(count, prompts, -1).mean(1), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        if self.training:
            directions = self.directions()
        else:
            if self.written is None or self.written.device != features.device:
                with torch.inference_mode(False), torch.no_grad():
                    self.written = self.directions()
            directions = self.written
        return linear(normalize(features, dim=1), directions) / self.tower[0].temperature

    def train(self, mode: bool = True) -> Self:
        self.written = None
        super().train(mode)
        if self.own is not None:
            self.own.eval()
        return self

    def _load_from_state_dict(self, *given: Any, **options: Any) -> None:
        self.written = self.encoded = None
        super()._load_from_state_dict(*given, **options)
