"""A tiny encoder with a tokenizer, and files of tiny texts, without any download."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

WORDS = [
    *"abcdefghijklmnopqrstuvwxyz",
    *[
        "good",
        "bad",
        "fine",
        "awful",
        "book",
        "film",
        "plot",
        "lens",
        "blade",
        "the",
        "a",
        "is",
        "was",
        "very",
        "paris",
        "rome",
        "bo",
        "ross",
        "ran",
        "saw",
        ".",
    ],
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
FOLDER = tempfile.TemporaryDirectory()


@functools.cache
def tiny_model() -> str:
    """The folder of a BERT of two layers of width 16 with random weights, as transformers saves one."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *WORDS, *PIECES])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    tokenizer.add_special_tokens(SPECIAL)
    path = Path(FOLDER.name) / "tiny"
    path.mkdir()
    tokenizer.save(str(path / "tokenizer.json"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        width = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, pad_token_id=0, **width)).save_pretrained(path)
    return str(path)


def review(domain: str, good: bool, number: int) -> str:
    """A review whose second word says whether it is good, and whose last is of its domain."""
    noun = {"books": "book", "dvd": "film", "kitchen": "blade"}[domain]
    return f"very {'good' if good else 'bad'} {'the ' * (number % 5)}{noun}"


def write_reviews(root: Path, n: int = 24) -> Path:
    """Reviews of two domains in the layout of FDU-MTL, in ``root/fdu_mtl``."""
    folder = root / "fdu_mtl"
    folder.mkdir(parents=True)
    for domain in ("books", "dvd", "kitchen"):
        for part, rows in (("train", n), ("test", n // 2), ("unlabel", n // 2)):
            lines = [("" if part == "unlabel" else f"{i % 2}\t") + review(domain, bool(i % 2), i) for i in range(rows)]
            (folder / f"{domain}.task.{part}").write_text("\n".join(lines) + "\n")
    return folder
