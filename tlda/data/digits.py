"""Digits in many looks: MNIST, USPS, MNIST-M, SVHN, and two domains that need no file and no network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tlda.data.arrays import RECENT, Images, Splits, require_size
from tlda.data.cache import cached
from tlda.data.class_sets import require_disjoint
from tlda.data.corruptions import cleaned, corrupted
from tlda.data.download import Store
from tlda.data.files import decode, idx_images, mnist_m, pixels, reading, svhn, usps_hdf5, usps_libsvm
from tlda.data.folders import UNKNOWN, new_images
from tlda.data.fonts import fonts
from tlda.data.pair import DomainPair
from tlda.data.photos import blend, photographs
from tlda.data.pooling import require_apart
from tlda.data.rows import Domain, New, pooled
from tlda.errors import UserError, near
from tlda.options.recorded import Plain
from tlda.tasks import Task

PHOTOS = "+photos"


def _mnist(store: Store) -> Splits:
    def part(name: str) -> Images:
        files = (f"MNIST/raw/{name}-images-idx3-ubyte", f"MNIST/raw/{name}-labels-idx1-ubyte")
        return idx_images(*(store.find("mnist", f"{file}.gz", file) for file in files))

    return Splits(part("train"), part("t10k"))


def _usps(store: Store) -> Splits:
    def find(name: str) -> Path:
        return store.find("usps", "usps/usps.h5", f"usps/{name}", f"USPS/{name}", name)

    path = find("usps.bz2")
    return usps_hdf5(path) if path.suffix == ".h5" else Splits(usps_libsvm(path), usps_libsvm(find("usps.t.bz2")))


def _svhn(store: Store) -> Splits:
    names = ("train_32x32.mat", "test_32x32.mat")
    return Splits(*(svhn(store.find("svhn", f"svhn/{name}", f"SVHN/{name}", name)) for name in names))


def _mnist_m(store: Store) -> Splits:
    # The innermost folder first: mnist_m is also the folder that the archive lies in.
    path = store.find("mnist_m", "mnist_m/mnist_m.tar.gz", "mnist_m.tar.gz", "mnist_m/mnist_m", "mnist_m/mnist_m_train")
    path = path.parent if path.name == "mnist_m_train" else path
    state = path.stat()
    return cached(f"mnist_m-1-{state.st_size}-{state.st_mtime_ns}", lambda: mnist_m(path)) if path.is_file() else mnist_m(path)


def _handwritten(store: Store) -> Splits:
    from sklearn.datasets import load_digits

    data = load_digits()
    images = torch.from_numpy(data.images * (255 / 16)).round_().to(torch.uint8)[:, None]
    return Splits(Images(images, torch.from_numpy(data.target).long()), None)


def _fonts(store: Store) -> Splits:
    return fonts()


READERS: dict[str, Callable[[Store], Splits]] = {
    "mnist": _mnist, "usps": _usps, "mnist_m": _mnist_m, "svhn": _svhn, "handwritten": _handwritten, "fonts": _fonts,
}  # fmt: skip
COLOURED = ("mnist_m", "svhn")


def _image(path: Path, size: int, mode: str) -> Tensor:
    from PIL import Image

    with reading(path):
        return pixels(decode(path).convert(mode).resize((size, size), Image.Resampling.BILINEAR))


class Digits(DomainPair):
    """Two looks of the digits, as bytes (n, c, size, size); c is 3 where either domain is in colour, else 1.

    The domains are ``mnist``, ``usps``, ``mnist_m`` and ``svhn``, read from files; ``handwritten`` (scikit-learn's
    1,797 digits of 8 x 8) and ``fonts`` (rendered), which need none; and any of them with ``+photos``, blended with
    photographs by the recipe of MNIST-M (Ganin et al., JMLR 2016); and any of these under a corruption of :mod:`tlda.data.corruptions` at a
    severity from 1 to 5, as ``mnist+fog5``. Each is the same in every run, whatever its seed.

    Args:
        source: the domain with labels, or several, which are pooled.
        target: the domain without, or several: a method adapts to all, and a test measures each.
        size: the height and width of the images.
        classes: the digits of both domains, in the order of the labels; by default all ten but those that are private to one.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        download: fetch what is missing.
        photos: a folder of photographs for ``+photos``; by default the two that scikit-learn ships.
        fill: cut each image to the square about its ink before it is resized, so that digits of every domain fill their frame, as those of
            ``handwritten`` do by their preparation. It looks at no label. Domains of photographs have no ink.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an unknown domain or class; a file that is missing or damaged; domains whose classes differ.
    """

    def __init__(
        self,
        source: str | list[str],
        target: str | list[str],
        size: int = 28,
        classes: list[str | int] | None = None,
        root: str | None = None,
        download: bool = False,
        photos: str | None = None,
        fill: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sources = source if isinstance(source, list) else [source]
        self.targets = target if isinstance(target, list) else [target]
        for option, names in (("source", self.sources), ("target", self.targets)):
            if not names:
                raise UserError(f"--data.{option} names no domain: name one or more, as in [mnist, fonts]")
        require_apart(self.sources, self.targets)
        self.kinds = {name: cleaned(name, PHOTOS[1:]) for name in (*self.sources, *self.targets)}
        for name, _ in self.kinds.values():
            if name.removesuffix(PHOTOS) not in READERS:
                raise UserError(f"there is no digit domain '{name}'{near(name.removesuffix(PHOTOS), READERS)}")
        self.source, self.target = "+".join(self.sources), "+".join(self.targets)
        self.size, self.photos = require_size(size), photos
        self.fill = bool(fill)
        if self.fill and (coloured := [name for name, _ in self.kinds.values() if name in COLOURED]):
            raise UserError(f"--data.fill cuts digits to their ink, white on black, and {coloured[0]} is in colour: leave fill out")
        private = [*self.source_private, *self.target_private]
        self.shared = [str(c) for c in ([c for c in range(10) if str(c) not in private] if classes is None else classes)]
        require_disjoint({"classes": self.shared, "source_private": self.source_private, "target_private": self.target_private})
        self.classes = [*self.shared, *private]
        if unknown := [c for c in self.classes if c not in set("0123456789")]:
            raise UserError(f"--data.classes has '{unknown[0]}', which is no digit; it takes some of 0 to 9, as in [0,1,2]")
        self.store = Store(Path(root or os.environ.get("TLDA_DATA") or "data"), download)

    @property
    def task(self) -> Task:
        task = self.classification(self.classes, shared=self.shared)
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def load(self) -> tuple[Domain, Domain]:
        sources, targets = ([self._domain(name, *self.kinds[name]) for name in names] for names in (self.sources, self.targets))
        self._require_classes(sources, targets)
        return pooled(self.source, sources), pooled(self.target, targets)

    def _domain(self, name: str, clean: str, corruption: str) -> Domain:
        train, test = self._splits(clean, self.channels)
        return Domain(name, corrupted(train, corruption), test and corrupted(test, corruption))

    @property
    def channels(self) -> int:
        """3 where either domain is in colour, else 1."""
        return 3 if any(name.endswith(PHOTOS) or name in COLOURED for name, _ in self.kinds.values()) else 1

    def read_new(self, place: str, fitted: Plain) -> New:
        paths = new_images(place)
        images = torch.stack([_image(path, self.size, "RGB" if self.channels == 3 else "L") for path in paths])
        return New(Images(images, torch.full((len(paths),), UNKNOWN)), [str(path) for path in paths])

    def _splits(self, name: str, channels: int) -> Splits:
        key = (name, self.size, self.fill, channels, tuple(self.classes), self.store.root, self.photos if PHOTOS in name else None)
        return RECENT.get(key, lambda: self._read(name, channels))

    def _read(self, name: str, channels: int) -> Splits:
        splits = READERS[name.removesuffix(PHOTOS)](self.store)
        chosen = splits.map(lambda data: self._resized(data.of_classes([int(c) for c in self.classes])))
        if name.endswith(PHOTOS):
            photos = photographs(self.photos)
            # Not the run's seed: a data set is the same in every run. The test rows lie on other patches.
            return Splits(*(part and blend(part, photos, seed) for seed, part in enumerate(chosen)))  # type: ignore[arg-type]
        return chosen.map(Images.in_colour) if channels == 3 else chosen

    def _resized(self, data: Images) -> Images:
        return data.filled(self.size) if self.fill else data.resized(self.size)

    def _require_classes(self, sources: list[Domain], targets: list[Domain]) -> None:
        """Refuse domains of which one lacks a class that takes part."""
        present = {domain.name: set(domain.train.labels.tolist()) for domain in (*sources, *targets)}
        common = set.intersection(*present.values())
        own = {domain.name: self.source_private for domain in sources} | {domain.name: self.target_private for domain in targets}
        lacking = [
            f"{name} lacks the classes {', '.join(missing)}"
            for name, there in present.items()
            if (missing := [c for i, c in enumerate(self.classes) if i not in there and c in (*self.shared, *own[name])])
        ]
        if lacking:
            names = ",".join(c for i, c in enumerate(self.classes) if i in common and c in self.shared)
            raise UserError(f"{' and '.join(lacking)}; give --data.classes [{names}]")
