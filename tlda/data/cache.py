"""Arrays that are slow to make, kept on disk."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from tlda.data.arrays import Images, Splits


def cache_folder() -> Path:
    """``TLDA_CACHE``, else ``~/.cache/tlda``."""
    return Path(os.environ.get("TLDA_CACHE") or Path.home() / ".cache" / "tlda")


def cached(name: str, make: Callable[[], Splits]) -> Splits:
    """What the cache holds under ``name``, made where it holds none; without a folder to write to, made each time."""
    path = cache_folder() / f"{name}.pt"
    if path.is_file():
        try:
            return _unpack(torch.load(path, weights_only=True))
        except Exception as error:  # whatever a damaged file raises, making it again heals it
            warnings.warn(f"{path} is damaged ({error}); it is made again", stacklevel=2)
    splits = make()
    try:
        _write(path, splits)
    except OSError as error:
        warnings.warn(f"the cache {path.parent} cannot be written ({error}); set TLDA_CACHE to a folder that can", stacklevel=2)
    return splits


def _write(path: Path, splits: Splits) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file of one's own, then a rename: with two writers, the reader sees one whole file or none.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        torch.save({n: (s.images, s.labels) for n, s in splits._asdict().items() if s is not None}, Path(folder, "new"))
        os.replace(Path(folder, "new"), path)


def _unpack(arrays: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> Splits:
    return Splits(Images(*arrays["train"]), Images(*arrays["test"]) if "test" in arrays else None)
