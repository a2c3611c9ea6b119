"""Encoders of text: token ids to features of the text, or of its words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor, nn

from tlda.backbones.base import Backbone
from tlda.backbones.quantised import GGUF, dequantised
from tlda.backbones.weights import PACKAGE, package_files
from tlda.batch import PAD
from tlda.errors import UserError, lacking
from tlda.inputs import SPANS, channels, places

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER = "tokenizer.json"
KINDS = "name a folder, package:NAME of an installed package, or a model on the hub"
HELD = ("config.json", TOKENIZER)
"""The files that a model in GGUF holds too."""


def model_file(name: str, file: str) -> Path:
    """The path of a ``file`` of the model ``name``: a folder, ``package:NAME`` of an installed package, a GGUF file, or a name on the hub.

    Raises:
        UserError: there is no such model, or it has no such file.
    """
    if name.startswith(PACKAGE):
        return _in_package(name.removeprefix(PACKAGE), file)
    if Path(name).suffix == GGUF:
        return dequantised(Path(name).expanduser()) / file
    if Path(name).is_dir():
        if not (path := Path(name, file)).is_file():
            raise UserError(f"the model folder {name} has no {file}: save the encoder and its tokenizer there with save_pretrained")
        return path
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(name, file))
    except ImportError as error:
        raise missing() from error
    except Exception as error:  # of a dozen kinds: no network, no such model, no such file, a name that cannot be one
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot load {file} of the model '{name}' ({reason}): {KINDS}") from error


def _in_package(package: str, file: str) -> Path:
    found = [path for path in package_files(package) if path.name == file]
    quantised = [path for path in package_files(package) if path.suffix == GGUF and file in HELD]
    if not found and len(quantised) == 1:
        return dequantised(quantised[0]) / file
    if not found:
        raise UserError(f"the package '{package}' has no {file}: name one that holds a transformers model")
    return min(found, key=lambda path: len(path.parts))


def missing() -> UserError:
    """The error where transformers is not installed."""
    return lacking("an encoder of texts", "transformers", "text")


def load_tokenizer(name: str) -> Tokenizer:
    """The tokenizer of the model ``name``, without padding or truncation."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing() from error
    tokenizer = Tokenizer.from_file(str(model_file(name, TOKENIZER)))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class Text(Backbone):
    """Any encoder of transformers: token ids (n, l) to features of the texts (n, d), or of the marked tokens (m, d).

    Args:
        name: ``package:NAME`` of an installed package that holds the model, the path of its folder, or its name on the hub.
        pooling: the features of a text: the mean over its tokens, or those of its first token.
        gradient_checkpointing: compute activations again in the backward pass, which takes less memory and more time.
        attention_dropout: the fraction of attention weights that training drops, None for the value of the model. On a CPU this dropout
            is slow, above all for long texts.

    Raises:
        UserError: there is no such model, it cannot be loaded, or its attention has no dropout to set.
    """

    def __init__(
        self,
        name: str = "sentence-transformers/all-MiniLM-L6-v2",
        pooling: Literal["mean", "cls"] = "mean",
        gradient_checkpointing: bool = False,
        attention_dropout: float | None = None,
    ) -> None:
        model = _encoder(name, attention_dropout)
        super().__init__(model.config.hidden_size)
        self.name, self.pooling = name, pooling
        self.pad = model.config.pad_token_id or 0
        self.segments = getattr(model.config, "type_vocab_size", 0) > 1
        self.limit = getattr(model.config, "max_position_embeddings", None)
        if gradient_checkpointing:
            recompute(model)
        self.model = model

    def encode(self, x: Tensor) -> Tensor:
        """The hidden states (n, l, d) of token ids (n, l) or (n, l, k)."""
        require_tokens(self, x)
        ids = x if x.ndim == 2 else x[..., 0]
        mask = ids != PAD
        given = {"token_type_ids": x[..., 2].clamp_min(0)} if self.segments and channels(x) == SPANS else {}
        hidden: Tensor = self.model(input_ids=ids.masked_fill(~mask, self.pad), attention_mask=mask.long(), **given).last_hidden_state
        return hidden

    def features(self, x: Tensor) -> Tensor:
        """Features of the texts (n, d), or of the marked tokens (m, d) where words or positions have rows."""
        hidden = self.encode(x)
        if channels(x) > 1:
            return hidden[places(x)]
        if self.pooling == "cls":
            return hidden[:, 0]
        mask = (x != PAD)[..., None].to(hidden)
        return (hidden * mask).sum(1) / mask.sum(1)

    def example(self, size: int | None = None) -> Tensor:
        """Make two texts of ``size`` tokens, by default of 8."""
        return torch.zeros(2, size or 8, dtype=torch.long)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


class Encoding(Protocol):
    """A backbone of texts: the name of its ``model``, and the most tokens of a text, which is None or 0 where there is no limit."""

    name: str
    limit: int | None
    model: Any


def require_tokens(backbone: Encoding, x: Tensor) -> None:
    """Raise :class:`UserError` where ``x`` are no token ids of the model of ``backbone``, or more of them than it has positions for."""
    if x.is_floating_point():
        raise UserError(f"{type(backbone).__name__} takes token ids, got floats {tuple(x.shape)}: use data of texts, or another backbone")
    if backbone.limit and x.shape[1] > backbone.limit:
        raise UserError(f"'{backbone.name}' takes at most {backbone.limit} tokens, got {x.shape[1]}: lower --data.max_length")
    size = backbone.model.get_input_embeddings().num_embeddings
    if not x.is_cuda and not torch.compiler.is_compiling() and int((x if x.ndim == 2 else x[..., 0]).max()) >= size:
        raise UserError(f"the texts have token ids beyond the {size} tokens of '{backbone.name}': give --data.tokenizer the same model")


def _encoder(name: str, attention_dropout: float | None) -> Any:
    """The encoder of the model ``name``, without its pooler, which no feature uses."""
    model: Any = load_model(name, attention_dropout)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model.train()


def load_model(name: str, attention_dropout: float | None = None) -> nn.Module:
    """The model of transformers of that ``name``, a folder, ``package:NAME`` or a name on the hub.

    Raises:
        UserError: there is none, or it cannot be loaded.
    """
    folder = model_folder(name)
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as error:
        raise missing() from error
    be_quiet()
    # On a processor the fused attention has no dropout of its own and is slower than the plain one, see benchmarks/speed/text.py.
    attention = "sdpa" if torch.cuda.is_available() else "eager"
    try:
        config = AutoConfig.from_pretrained(str(folder))
        if attention_dropout is not None:
            _set_attention_dropout(config, name, attention_dropout)
        model: nn.Module = AutoModel.from_pretrained(str(folder), config=config, attn_implementation=attention)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot load the encoder '{name}' ({reason}): {KINDS}") from error
    return model


def model_folder(name: str) -> str:
    """The folder of the model ``name``, or its name on the hub."""
    is_here = name.startswith(PACKAGE) or Path(name).is_dir() or Path(name).suffix == GGUF
    return str(model_file(name, "config.json").parent) if is_here else name


def be_quiet() -> None:
    """Let transformers, which is installed, say nothing but errors."""
    from transformers.utils import logging

    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()


def recompute(network: nn.Module) -> None:
    """Let ``network``, a model of transformers, compute its activations again in the backward pass."""
    model: Any = network
    how = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # as transformers 5 calls it
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=how)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=how)


def _set_attention_dropout(config: Any, name: str, dropout: float) -> None:
    # BERT and its kin have the first name, DistilBERT, ModernBERT and others the second.
    names = [option for option in ("attention_probs_dropout_prob", "attention_dropout") if hasattr(config, option)]
    if not names:
        raise UserError(f"the attention of '{name}' ({config.model_type}) has no dropout to set: leave attention_dropout out")
    setattr(config, names[0], dropout)
