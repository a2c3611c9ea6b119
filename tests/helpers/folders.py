"""A tiny data set in folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import EXPERIMENTS

FOLDERS = [
    *("-c", str(EXPERIMENTS / "base" / "embedded.yaml"), "-c", str(EXPERIMENTS / "method" / "dann.yaml")),
    *("--data", "Folders", "--data.size", "16", "--model.backbone.channels", "3"),
]
"""What trains on such a data set, but for its ``--data.root``."""


def write_folders(root: Path, source: Sequence[str] = "abc", target: Sequence[str] = "abc", count: int = 6) -> Path:
    """Images of 16 x 16 noise, ``count`` a class and domain; a class of ``.`` puts them into the domain's own folder."""
    random = np.random.default_rng(0)
    for domain, classes in (("source", source), ("target", target)):
        (root / domain).mkdir(parents=True)
        for name in classes:
            (root / domain / name).mkdir(exist_ok=True)
            for i in range(count):
                Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(root / domain / name / f"{i}.png")
    return root
