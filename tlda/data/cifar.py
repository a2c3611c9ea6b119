"""CIFAR-10, and CIFAR-10 under corruptions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from tlda.data.arrays import RECENT, Images, Splits, digest
from tlda.data.cache import cached
from tlda.data.corruptions import cleaned, corrupted
from tlda.data.files import decode, image_files, pixels, reading
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain
from tlda.errors import UserError
from tlda.tasks import Task

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The classes, in the order of the labels."""


class CIFAR10(DomainPair):
    """CIFAR-10 (Krizhevsky, 2009), and the same images under a corruption of :mod:`tlda.data.corruptions` as the target.

    It is read from ``cifar10/{train,test}/CLASS``, folders of images of 32 x 32, or from the distributor's ``cifar-10-batches-bin``.

    Args:
        source: ``cifar10``, or a corruption of it, such as ``cifar10+fog5``.
        target: likewise; the test images of it measure.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an unknown domain; files that are missing or damaged.
    """

    def __init__(self, source: str = "cifar10", target: str = "cifar10", root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kinds = {}
        for name in (source, target):
            clean, self.kinds[name] = cleaned(name)
            if clean != "cifar10":
                raise UserError(f"there is no domain '{clean}' of CIFAR10: it is cifar10, or a corruption of it, such as cifar10+fog5")
        self.source, self.target, self.root = source, target, Path(root or os.environ.get("TLDA_DATA") or "data")

    @property
    def task(self) -> Task:
        return self.classification(CLASSES)

    def load(self) -> tuple[Domain, Domain]:
        splits = RECENT.get(("cifar10", self.root), lambda: read(self.root))
        return self._domain(self.source, splits), self._domain(self.target, splits)

    def _domain(self, name: str, splits: Splits) -> Domain:
        kind = self.kinds[name]
        return Domain(name, corrupted(splits.train, kind), splits.test and corrupted(splits.test, kind))


def read(root: Path) -> Splits:
    """The training and test images below ``root``.

    Raises:
        UserError: there are none.
    """
    folder, packed = root / "cifar10", root / "cifar-10-batches-bin"
    if packed.is_dir():
        packs = (sorted(packed.glob("data_batch_*.bin")), [packed / "test_batch.bin"])
        return Splits(*(unpacked(b"".join(path.read_bytes() for path in files)) for files in packs))
    if not folder.is_dir():
        raise UserError(f"there is no {folder}, with images in train/CLASS and test/CLASS, nor {packed}: get CIFAR-10, or give --data.root")
    files = {
        part: [(path, c) for c, name in enumerate(CLASSES) for path in image_files(folder / part / name)] for part in ("train", "test")
    }
    states = (f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode() for pairs in files.values() for path, _ in pairs)
    return cached(f"cifar10-{digest(states)}", lambda: Splits(*map(decoded, files.values())))


def unpacked(content: bytes) -> Images:
    """The images of the distributor's binary files: a byte of the class and 3 x 32 x 32 of the image each."""
    rows = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, 3073)
    return Images(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].long())


def decoded(files: list[tuple[Path, int]]) -> Images:
    """The images of ``files``, and their classes."""
    images = []
    for path, _ in files:
        with reading(path):
            images.append(pixels(decode(path).convert("RGB")))
    return Images(torch.stack(images), torch.tensor([c for _, c in files]))
