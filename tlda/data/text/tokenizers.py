"""Whether the tokens of the data are those of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tlda.backbones.language_model import LanguageModel
from tlda.backbones.text import Text, load_tokenizer
from tlda.errors import UserError


class Tokenized(Protocol):
    """Data that name the models whose tokenizers made their tokens."""

    @property
    def tokenizers(self) -> Sequence[str]: ...


def require_tokenizer(encoder: object, data: Tokenized) -> None:
    """Raise :class:`UserError` where an ``encoder`` of texts comes with another tokenizer than that which made the tokens of ``data``."""
    if not isinstance(encoder, Text | LanguageModel):
        return
    for tokenizer in data.tokenizers:
        if tokenizer != encoder.name and _tokens_of(encoder.name) not in (None, _tokens_of(tokenizer)):
            raise UserError(
                f"the texts are tokens of '{tokenizer}', and the encoder '{encoder.name}' was trained on others: "
                "name one model for both, as by --data.tokenizer and --model.backbone.name"
            )


def _tokens_of(model: str) -> str | None:
    """What decides the tokens that a model's tokenizer makes; None where the model comes without one."""
    try:
        # As it is loaded: two files may differ in how they pad.
        tokens: str = load_tokenizer(model).to_str()
    except UserError:
        return None
    return tokens
