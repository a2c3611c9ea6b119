"""A tiny CLIP with a tokenizer, without any download."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

WORDS = [
    "a",
    "photo",
    "of",
    "the",
    "drawing",
    "class",
    "0",
    "1",
    "2",
    "back",
    "pack",
    "dog",
    ".",
    "first",
    "second",
    "third",
    "left",
    "right",
    "fourth",
]
FOLDER = tempfile.TemporaryDirectory()
SIZE = 8


@functools.cache
def tiny_clip() -> str:
    """The folder of a CLIP of images of 8 x 8 with towers of width 16, random weights and a space of 8, as transformers saves one."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel

    tokens = ["<pad>", "<unk>", *WORDS, "<start>", "<end>"]
    tokenizer = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    start, end = len(tokens) - 2, len(tokens) - 1
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", pair=None, special_tokens=[("<start>", start), ("<end>", end)]
    )
    path = Path(FOLDER.name) / "tiny"
    path.mkdir()
    tokenizer.save(str(path / "tokenizer.json"))
    width = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        **width,
        "vocab_size": len(tokens),
        "max_position_embeddings": 12,
        "bos_token_id": start,
        "eos_token_id": end,
        "pad_token_id": 0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = CLIPConfig(text_config=text, vision_config={**width, "image_size": SIZE, "patch_size": 4}, projection_dim=8)
        CLIPModel(config).save_pretrained(path)
    return str(path)
