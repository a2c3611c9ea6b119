"""Readers of the files that data sets come in, each to bytes (n, c, h, w) and classes (n,)."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tlda.data.arrays import Images, Splits
from tlda.errors import UserError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
"""The endings of image files; other files among them are left alone."""

DAMAGED = (OSError, EOFError, ValueError, LookupError, SyntaxError, TypeError, struct.error, zlib.error, tarfile.TarError)
"""What readers raise where a file is damaged."""


@contextmanager
def reading(path: Path, advice: str = "get it again") -> Iterator[None]:
    """Whatever a damaged file, or an image too large to decode, raises becomes one sentence with its name and ``advice``."""
    from PIL import Image

    try:
        yield
    except (*DAMAGED, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read ({reason}): it is cut short, too large or not what its name says; {advice}") from error


def image_files(folder: Path) -> list[Path]:
    """The image files below ``folder``, by name; hidden ones and other kinds of files are left out."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())


def decode(file: Path | bytes) -> Any:
    """The PIL image of a file, in RGB; raises what PIL raises."""
    from PIL import Image

    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        return in_rgb(image)


def in_rgb(image: Any) -> Any:
    """A PIL image of any mode, in RGB."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, which PIL would clip
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    # A palette with transparency goes through RGBA, as PIL asks for.
    return (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")


def pixels(image: Any) -> Tensor:
    """Bytes (c, h, w) of a PIL image in RGB or grey."""
    return torch.from_numpy(np.atleast_3d(np.array(image))).permute(2, 0, 1).contiguous()


def idx(path: Path) -> Tensor:
    """The bytes of an IDX file (MNIST's format), gzipped or not, in its own shape."""
    with reading(path):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
            raise ValueError("not an IDX file of bytes")
        shape = np.frombuffer(data, ">u4", data[3], 4).tolist()
        return torch.from_numpy(np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape).copy())


def idx_images(images: Path, labels: Path) -> Images:
    """Grey images and their classes, of two IDX files."""
    data = Images(idx(images)[:, None], idx(labels).long())
    if len(data.labels) != len(data):
        raise UserError(f"{images} has {len(data)} images, but {labels} has {len(data.labels)} labels: get both again")
    return data


def usps_hdf5(path: Path) -> Splits:
    """The USPS file ``usps.h5``: 16 x 16 floats in 0..1 under ``train`` and ``test``."""
    import h5py

    with reading(path), h5py.File(path) as file:
        return Splits(*(_floats(file[part]["data"][:], file[part]["target"][:]) for part in ("train", "test")))


def usps_libsvm(path: Path) -> Images:
    """A USPS file of LIBSVM: lines of ``LABEL 1:VALUE … 256:VALUE``, classes from 1, values in -1..1."""
    with reading(path):
        rows = [line.split() for line in bz2.decompress(path.read_bytes()).decode().splitlines()]
        values = [[float(pair.split(":")[1]) for pair in row[1:]] for row in rows]
        return _floats((np.array(values, dtype=np.float32) + 1) / 2, np.array([int(float(row[0])) - 1 for row in rows]))


def _floats(values: Any, labels: Any) -> Images:
    images = torch.from_numpy(np.rint(255 * values).astype(np.uint8)).view(-1, 1, 16, 16)
    return Images(images, torch.from_numpy(labels.astype(np.int64)))


def svhn(path: Path) -> Images:
    """A cropped-digit file of SVHN: MATLAB, ``X`` (32, 32, 3, n), ``y`` (n, 1) in which 10 is the digit 0."""
    with reading(path):
        data = matlab(path)
        labels = torch.from_numpy(data["y"].astype(np.int64)).flatten() % 10
        return Images(torch.from_numpy(np.ascontiguousarray(data["X"].transpose(3, 2, 0, 1))), labels)


def matlab(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file; a ValueError where it is none."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return dict(loadmat(str(path)))
    except MatReadError as error:
        raise ValueError(str(error)) from error


def mnist_m(path: Path) -> Splits:
    """MNIST-M, ``mnist_m.tar.gz`` or its folder: PNG files, and a list of ``NAME LABEL`` for each part that is there."""
    images: dict[str, Tensor] = {}
    lists: dict[str, str] = {}
    with reading(path):
        for name, data in _contents(path):
            if name.endswith(".png"):
                images[name] = pixels(decode(data))
            elif name.endswith("_labels.txt"):
                lists[name.removesuffix("_labels.txt")] = data.decode()
        if "mnist_m_train" not in lists:
            raise ValueError("there is no mnist_m_train_labels.txt in it")
        train, test = (_listed(images, part, lists[part]) if part in lists else None for part in ("mnist_m_train", "mnist_m_test"))
    assert train is not None
    return Splits(train, test)


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of an archive or a folder: their names below ``mnist_m``, and their bytes."""
    if path.is_dir():
        yield from ((file.relative_to(path).as_posix(), file.read_bytes()) for file in sorted(path.rglob("*")) if file.is_file())
    else:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is not None:
                    yield member.name.removeprefix("./").removeprefix("mnist_m/"), file.read()


def _listed(images: dict[str, Tensor], part: str, lines: str) -> Images:
    names, labels = zip(*(line.split() for line in lines.splitlines() if line.strip()), strict=True)
    return Images(torch.stack([images[f"{part}/{name}"] for name in names]), torch.tensor([int(label) for label in labels]))
