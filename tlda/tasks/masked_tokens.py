"""Masked-language modelling: which tokens are masked, and the layer that predicts them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlda.backbones import Backbone, Text
from tlda.backbones.text import load_tokenizer
from tlda.batch import PAD
from tlda.errors import UserError


class Masking:
    """Chooses tokens, of which 80 % are masked, 10 % replaced by any other, and 10 % left (Devlin et al., NAACL 2019, sec. 3.1).

    Args:
        backbone: a Text, whose tokenizer has a mask.
        share: the fraction of the tokens to predict, special tokens apart.

    Raises:
        UserError: another backbone; a fraction outside 0..1; a tokenizer without a mask.
    """

    def __init__(self, backbone: Backbone, share: float) -> None:
        if not isinstance(backbone, Text):
            raise UserError(f"masked-language modelling needs the backbone Text, and this is {type(backbone).__name__}")
        if not 0 < share < 1:
            raise UserError(f"--model.share is {share}: it is a share of the tokens, between 0 and 1")
        tokenizer = load_tokenizer(backbone.name)
        marks = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
        mask = next((number for name in ("[MASK]", "<mask>") if (number := tokenizer.token_to_id(name)) is not None), None)
        if mask is None:
            raise UserError(
                f"the tokenizer of '{backbone.name}' has no token [MASK] or <mask>: it is no model for masked-language modelling"
            )
        self.share, self.mask, self.size = share, mask, tokenizer.get_vocab_size()
        self.marks = torch.tensor([PAD, *marks])

    def __call__(self, ids: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The token ids (n, l) as the encoder sees them, and a mask (n, l) of those to predict."""
        # Drawn on the processor, whose generator is the one that a resumed run sets anew.
        drawn, kind = (torch.rand(ids.shape, generator=generator).to(ids.device) for _ in range(2))
        others = torch.randint(self.size, ids.shape, generator=generator).to(ids.device)
        told = (drawn < self.share) & ~torch.isin(ids, self.marks.to(ids.device))
        masked = torch.where(told & (kind < 0.8), self.mask, ids)
        return torch.where(told & (kind >= 0.9), others, masked), told


class VocabularyHead(nn.Module):
    """Hidden states (m, d) to the logits of all tokens, (m, tokens): a layer, and the products with the encoder's own embeddings.

    Args:
        backbone: a Text, whose embeddings it uses and which stay where they are.
    """

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        width, self.encode = backbone.num_features, backbone.encode
        self.layer = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        embeddings = backbone.model.get_input_embeddings()
        self.bias = nn.Parameter(torch.zeros(embeddings.num_embeddings))
        self.weight = [embeddings]  # in a list, so that they are not this module's parameters too

    def forward(self, hidden: Tensor) -> Tensor:
        logits: Tensor = self.layer(hidden) @ self.weight[0].weight.T + self.bias
        return logits

    def loss(self, ids: Tensor, masked: Tensor, told: Tensor) -> Tensor:
        """The mean cross-entropy, in nats, of the tokens ``ids`` (n, l) that are ``told`` (n, l) apart, of texts ``masked`` (n, l)."""
        logits = self(self.encode(masked)[told])
        total: Tensor = nn.functional.cross_entropy(logits.float(), ids[told], reduction="sum")
        return total / told.sum().clamp_min(1)
