"""Show which tokens of a text a prediction depends on."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tlda.backbones import Text
from tlda.backbones.text import load_tokenizer
from tlda.batch import PAD
from tlda.inputs import channels, places
from tlda.method import Method

LONGEST = 80
"""The most tokens of a text that are shown."""

GLUE = "##"
"""The prefix of a WordPiece token that continues a word."""

SPACES = "ĠĊ▁"
"""The characters that other tokenizers use for the space before a word and for the end of a line."""


def saliency(backbone: Text, method: Method, x: Tensor, row: int, of: int) -> Tensor:
    """How much each token weighs in a logit: the L2 norm of its gradient with respect to the token's embedding, over the largest, (l,).

    First-derivative saliency (Li et al., NAACL 2016, sec. 5).

    Args:
        backbone: the encoder in ``method``.
        method: in evaluation mode.
        x: the token ids of one text, (1, l) or (1, l, 2).
        row: which of the text's rows.
        of: the class.
    """
    kept: list[Tensor] = []

    def keep(*call: Tensor) -> Tensor:
        kept.append(call[-1].detach().requires_grad_())
        return kept[-1]

    hook = backbone.model.get_input_embeddings().register_forward_hook(keep)
    try:
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(method(x).logits[row, of], kept[0])
    finally:
        hook.remove()
    weights: Tensor = gradient[0].norm(dim=1)
    return weights / weights.max().clamp_min(torch.finfo(weights.dtype).tiny)


class Shown:
    """The texts ``x`` (n, l) or (n, l, 2) of a domain, of which each row of the outputs is a text, or a word."""

    def __init__(self, x: Tensor, tokenizer: str) -> None:
        self.x, self.tokenizer = x, load_tokenizer(tokenizer)
        if channels(x) > 1:
            self.text, self.place = places(x).nonzero().T.tolist()
        else:
            self.text, self.place = list(range(len(x))), [None] * len(x)

    def markup(self, backbone: Text, method: Method, row: int, of: int, colour: str) -> str:
        """The text of ``row`` as HTML, each token the darker, the more it weighs in the class ``of``; the asked word is bold."""
        number = self.text[row]
        x = self.x[number : number + 1]
        x = x[:, (x if x.ndim == 2 else x[..., 0])[0] != PAD]
        heat = saliency(backbone, method, x, row - self.text.index(number), of).tolist()
        ids = (x if x.ndim == 2 else x[..., 0])[0].tolist()
        first = max(0, (self.place[row] or 0) - LONGEST // 2)
        found = [self._token(i, ids[i], heat[i], self.place[row]) for i in range(first, min(len(ids), first + LONGEST))]
        return f'<p style="--c:{colour}">{"…" * (first > 0)}{"".join(found)}{" …" * (first + LONGEST < len(ids))}</p>'

    def _token(self, place: int, number: int, heat: float, asked: int | None) -> str:
        token = str(self.tokenizer.id_to_token(number))
        space = "" if token.startswith(GLUE) else " "
        word = html.escape(token.removeprefix(GLUE).strip(SPACES))
        word = f"<b>{word}</b>" if place == asked else word
        return f'{space}<span style="background: color-mix(in srgb, var(--c) {round(60 * heat)}%, transparent)">{word}</span>'


def cards(
    shown: Shown,
    rows: Sequence[int],
    methods: Sequence[Any],
    colours: Sequence[str],
    classes: Sequence[Sequence[int]],
    said: Sequence[str],
) -> list[str]:
    """The texts of ``rows`` as HTML: once for each of ``methods``, for the class that it predicts, and then what is ``said`` of it."""
    found = []
    for i, row in enumerate(rows):
        texts = [
            shown.markup(method.backbone, method, row, of[i], colour) for method, colour, of in zip(methods, colours, classes, strict=True)
        ]
        found.append(f"<div>{''.join(texts)}<p>{html.escape(said[i])}</p></div>")
    return found
