"""Tiny files in the true formats, and the real data where there are some."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REAL = os.environ.get("TLDA_DATA")
"""The folder of the real data, as it was before the tests took it away."""


def needs(*paths: str) -> pytest.MarkDecorator:
    """Skip a test, by the name of what is missing, where the real data lack one of ``paths``."""
    missing = [path for path in paths if REAL is None or not Path(REAL, path).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"TLDA_DATA has no {', '.join(missing)}")


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


def grey(labels: np.ndarray, size: int) -> np.ndarray:
    """Images (n, size, size) whose value tells their class: 10 c + 5."""
    return np.broadcast_to((10 * labels + 5).astype(np.uint8)[:, None, None], (len(labels), size, size))


def write_mnist(folder: Path, train: int = 40, test: int = 20, packed: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("t10k", test)):
        labels = np.arange(count) % 10
        for kind, array in (("images-idx3", grey(labels, 28)), ("labels-idx1", labels)):
            name, data = f"{part}-{kind}-ubyte", idx_bytes(array)
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)


def write_usps_hdf5(path: Path, train: int = 30, test: int = 20) -> None:
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for part, count in (("train", train), ("test", test)):
            labels = np.arange(count) % 10
            file[f"{part}/data"] = (grey(labels, 16) / 255).astype(np.float32).reshape(count, 256)
            file[f"{part}/target"] = labels.astype(np.int32)


def write_usps_libsvm(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(count) % 10
    lines = [
        f"{label + 1} " + " ".join(f"{i + 1}:{2 * v / 255 - 1:.6f}" for i, v in enumerate(image.flatten()))
        for label, image in zip(labels, grey(labels, 16), strict=True)
    ]
    path.write_bytes(bz2.compress("\n".join(lines).encode()))


def write_svhn(path: Path, count: int = 20) -> None:
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.arange(count) % 10
    images = np.broadcast_to(grey(labels, 32)[:, :, :, None], (count, 32, 32, 3)).copy()
    images[..., 2] = 255  # blue, so that a mistaken channel shows
    savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None]})


def png(value: int, size: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (value, 0, 255)).save(file, "PNG")
    return file.getvalue()


def mnist_m_files(train: int = 14, test: int | None = None) -> dict[str, bytes]:
    files = {}
    for part, count in (("train", train), ("test", test)):
        if count is not None:
            files[f"mnist_m_{part}_labels.txt"] = "\n".join(f"{i:08}.png {i % 7}" for i in range(count)).encode()
            files |= {f"mnist_m_{part}/{i:08}.png": png(10 * (i % 7) + 5) for i in range(count)}
    return files


def write_mnist_m(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"mnist_m/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
