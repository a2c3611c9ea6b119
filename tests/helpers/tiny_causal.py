"""A tiny causal language model with a tokenizer of bytes, as transformers saves one, without any download."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

FOLDER = tempfile.TemporaryDirectory()
SIZE = 257
"""The tokens: one for each byte, and the end of a document."""


@functools.cache
def tiny_causal(tied: bool = True, kind: str = "llama") -> str:
    """The folder of a Llama, or a GPT-2, of two layers of width 16 with random weights."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    path = Path(FOLDER.name) / f"{kind}-{tied}"
    path.mkdir()
    tokenizer.save(str(path / "tokenizer.json"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = GPT2Config(vocab_size=SIZE, n_embd=16, n_layer=2, n_head=2, n_positions=64)
        model: Any = LlamaForCausalLM(llama_config(tied)) if kind == "llama" else GPT2LMHeadModel(plain)
        model.save_pretrained(path)
    return str(path)


def llama_config(tied: bool = True) -> Any:
    """The configuration of the tiny Llama."""
    from transformers import LlamaConfig

    width = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaConfig(
        vocab_size=SIZE, max_position_embeddings=64, tie_word_embeddings=tied, initializer_range=0.3, bos_token_id=256, eos_token_id=256,
        pad_token_id=256, **width,
    )  # fmt: skip


def write_corpora(folder: Path) -> tuple[str, str]:
    """Two texts, whose letters are others, of 600 bytes or so each."""
    paths = folder / "old.txt", folder / "new.txt"
    paths[0].write_text("the cat sat on the mat. " * 25)
    paths[1].write_text("ZION begat KISH, and KISH begat SAUL; " * 16)
    return str(paths[0]), str(paths[1])
