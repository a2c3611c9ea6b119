"""Models in GGUF, whose quantised weights are made ordinary ones, once."""

from __future__ import annotations

import shutil
from hashlib import file_digest
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from filelock import FileLock

from tlda.errors import UserError, lacking
from tlda.writing import cache_folder

GGUF = ".gguf"
"""The ending of such a file."""


def dequantised(path: Path) -> Path:
    """The folder, in the cache, of the model in the GGUF file ``path``: its weights in bfloat16 as safetensors, and its tokenizer.

    One process makes it, and the others wait for it. It stays until it is deleted by hand.

    Raises:
        UserError: gguf or transformers is not installed, or the file is damaged or of a kind that transformers does not read.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}: check the name of the model")
    with path.open("rb") as file:
        folder = cache_folder() / "models" / f"{path.stem}-{file_digest(file, 'sha256').hexdigest()[:16]}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _write(path, folder)
    return folder


def _write(path: Path, folder: Path) -> None:
    """Write the model of ``path`` into ``folder``, which is there as a whole or not at all."""
    transformers = _transformers()
    partial = folder.with_name(f"{folder.name}.{uuid4().hex[:12]}.partial")
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name)
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    except Exception as error:  # of many kinds: a damaged file, an architecture or a type of weights that it does not know
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot read the model in {path} ({reason}): name another file, or the folder of a transformers model") from error
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    try:
        # Made anew: one that was read from GGUF refuses to be saved.
        plain = transformers.AutoModelForCausalLM.from_config(model.config)
        plain.load_state_dict(model.state_dict())
        plain.to(torch.bfloat16).save_pretrained(partial)
        tokenizer.backend_tokenizer.save(str(partial / "tokenizer.json"))
        partial.replace(folder)
    except OSError as error:
        raise UserError(f"cannot write the model to {folder} ({error.strerror}): set TLDA_CACHE to a folder with space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _transformers() -> Any:
    try:
        import gguf  # noqa: F401  (what transformers reads such a file with)
    except ImportError as error:
        raise lacking("a model in GGUF", "gguf", "language") from error
    try:
        import transformers
    except ImportError as error:
        raise lacking("a model in GGUF", "transformers", "text") from error
    from transformers.utils import logging

    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    return transformers
