"""Files whose contents are not what their format has: each is one sentence that says where and why."""

from __future__ import annotations

import bz2
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from tests.helpers.tiny_files import grey, idx_bytes, mnist_m_files, png, write_mnist_m
from tlda.data.arrays import Images, checked
from tlda.data.files import idx_images, mnist_m, svhn, usps_hdf5, usps_libsvm
from tlda.data.surf import OfficeCaltech10SURF
from tlda.errors import UserError

LABELS = np.arange(20) % 10


def with_label(label: float) -> Any:
    labels = LABELS.astype(float)
    labels[3] = label
    return labels


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        (grey(LABELS, 28), LABELS, ""),
        (grey(LABELS, 28)[0, 0], LABELS, "it has 1 dimensions, and images have 3"),
        (grey(LABELS, 28)[0], LABELS, "it has 2 dimensions"),
        (grey(LABELS, 28)[:, None], LABELS, "it has 4 dimensions"),
        (grey(LABELS, 28)[:0], LABELS[:0], r"its images are \(0, 1, 28, 28\)"),
        (grey(LABELS, 28), np.eye(10)[LABELS], r"its labels are \(20, 10\), and not one number a row"),
        (grey(LABELS, 28), LABELS[:-1], "has 20 images, but .* has 19 labels"),
        (grey(LABELS, 28), with_label(200), "row 3 has the label 200, and its classes are 0 to 9"),
    ],
)
def test_idx(tmp_path: Path, images: Any, labels: Any, expected: str) -> None:
    for name, array in (("images", images), ("labels", labels)):
        (tmp_path / name).write_bytes(idx_bytes(array))
    if expected:
        with pytest.raises(UserError, match=expected):
            idx_images(tmp_path / "images", tmp_path / "labels")
    else:
        assert torch.equal(idx_images(tmp_path / "images", tmp_path / "labels").labels, torch.from_numpy(LABELS))


def write_usps(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    arrays: dict[str, Any] = {"data": (grey(LABELS, 16) / 255).astype(np.float32).reshape(-1, 256), "target": LABELS.astype(np.int32)}
    arrays |= change(arrays) or {}
    with h5py.File(path, "w") as file:
        for part in ("train", "test"):
            for name, array in arrays.items():
                file[f"{part}/{name}"] = array
    return path


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda a: {"data": 255 * a["data"]}, "its values are 5 to 95"),
        (lambda a: {"data": a["data"] * np.float32("nan")}, "its values are nan to nan"),
        (lambda a: {"data": a["data"][:, :200]}, r"its images are \(20, 200\), and are not 16 x 16"),
        (lambda a: {"data": a["data"].ravel()}, r"its images are \(5120,\)"),
        (lambda a: {"target": with_label(-1)}, "row 3 has the label -1"),
        (lambda a: {"target": with_label(99)}, "row 3 has the label 99"),
        (lambda a: {"target": with_label(2.5)}, "row 3 has the label 2.5"),
        (lambda a: {"target": with_label(float("nan"))}, "row 3 has the label nan"),
        (lambda a: {"target": np.eye(10)[LABELS]}, r"its labels are \(20, 10\)"),
        (lambda a: {"target": LABELS[:7]}, "it has 20 rows and 7 labels"),
    ],
)
def test_usps(tmp_path: Path, change: Any, expected: str) -> None:
    with pytest.raises(UserError, match=rf"usps.h5 cannot be read \({expected}"):
        usps_hdf5(write_usps(tmp_path / "usps.h5", change))


def test_usps_in_another_shape_of_the_same_numbers(tmp_path: Path) -> None:
    plain = usps_hdf5(write_usps(tmp_path / "plain.h5", lambda a: None))
    square = usps_hdf5(write_usps(tmp_path / "square.h5", lambda a: {"data": a["data"].reshape(-1, 16, 16), "target": LABELS[:, None]}))
    assert plain.train.digest == square.train.digest
    assert plain.train.images[:, 0, 0, 0].tolist() == (10 * LABELS + 5).tolist()


def libsvm(path: Path, *lines: str) -> Path:
    path.write_bytes(bz2.compress("\n".join(lines).encode()))
    return path


def test_libsvm_reads_the_indices(tmp_path: Path) -> None:
    images = usps_libsvm(libsvm(tmp_path / "usps.bz2", "1 256:1 1:-1", "10 2:0.5")).images.flatten(1)
    assert images[0, [0, 1, 254, 255]].tolist() == [0, 128, 128, 255], "an index that is left out is 0, in the middle of -1 and 1"
    assert images[1, [0, 1, 2]].tolist() == [128, 191, 128]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1 257:0.5", "line 2 has an index twice, or one that is not 1 to 256"),
        ("1 0:0.5", "line 2 has an index"),
        ("1 7:0.5 7:0.1", "line 2 has an index"),
        ("0 1:0.5", "row 1 has the label -1"),
        ("11 1:0.5", "row 1 has the label 10"),
        ("1.5 1:0.5", "row 1 has the label 0.5"),
        ("1 1:7", "its values are 0.5 to 4"),
        ("1 1", "cannot be read"),
        ("1", "cannot be read"),
    ],
)
def test_libsvm(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        usps_libsvm(libsvm(tmp_path / "usps.bz2", "1 1:0.5", line))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"y": with_label(20)}, "row 3 has the label 20"),
        ({"y": with_label(-1)}, "row 3 has the label -1"),
        ({"y": with_label(0.5)}, "row 3 has the label 0.5"),
        ({"y": np.eye(10)[LABELS]}, r"its labels are \(20, 10\)"),
        ({"y": LABELS[:5]}, "it has 20 rows and 5 labels"),
        ({"X": np.zeros((20, 3, 32, 32), np.uint8)}, r"X is \(20, 3, 32, 32\) of uint8, and not \(32, 32, 3, n\) of bytes"),
        ({"X": np.zeros((32, 32, 3, 20))}, r"X is .* of float64"),
        ({"X": np.zeros((32, 32), np.uint8)}, r"X is \(32, 32\)"),
        ({"z": 1}, "it has no variable X"),
    ],
)
def test_svhn(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    arrays = {"X": np.zeros((32, 32, 3, 20), np.uint8), "y": LABELS[:, None]}
    savemat(tmp_path / "x.mat", change if "z" in change else arrays | change)
    with pytest.raises(UserError, match=rf"x.mat cannot be read \({expected}"):
        svhn(tmp_path / "x.mat")


def test_a_matlab_file_of_version_7_3(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["X"] = np.zeros(3)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    with pytest.raises(UserError, match=r"it is of MATLAB 7.3: load it in MATLAB, and save it with -v7"):
        svhn(path)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"mnist_m_train/00000003.png": png(5, size=28)}, "mnist_m_train/00000003.png has another size than mnist_m_train/00000000.png"),
        ({"mnist_m_train_labels.txt": b"00000000.png 3\n00000001.png -1"}, "row 1 has the label -1"),
        ({"mnist_m_train_labels.txt": b"00000000.png 3\n00000001.png 10"}, "row 1 has the label 10"),
        ({"mnist_m_train_labels.txt": b"00000000.png 3\n00000001.png"}, "line 2 of mnist_m_train_labels.txt is not NAME LABEL"),
        ({"mnist_m_train_labels.txt": b"00000099.png 3"}, "mnist_m_train/00000099.png is on its list and not in it"),
        ({"mnist_m_train_labels.txt": b""}, "cannot be read"),
    ],
)
def test_mnist_m(tmp_path: Path, change: dict[str, bytes], expected: str) -> None:
    write_mnist_m(tmp_path / "mnist_m.tar.gz", mnist_m_files() | change)
    with pytest.raises(UserError, match=expected):
        mnist_m(tmp_path / "mnist_m.tar.gz")


@pytest.mark.parametrize("unpacked", [False, True])
def test_hidden_files_of_mnist_m_are_left_alone(tmp_path: Path, unpacked: bool) -> None:
    path = tmp_path / "mnist_m.tar.gz"
    write_mnist_m(path, mnist_m_files() | {"mnist_m_train/._00000000.png": b"odd", "__MACOSX/0.png": b"odd"})
    if unpacked:
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path, filter="data")
        path = tmp_path / "mnist_m"
    assert len(mnist_m(path).train) == 14


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"labels": np.array([1, 2, 3, 11])}, "row 3 has the label 10"),
        ({"labels": np.array([1, 2, 3, 0])}, "row 3 has the label -1"),
        ({"labels": np.array([1, 2, 3, 1.5])}, "row 3 has the label 0.5"),
        ({"labels": np.array([1, 2])}, "it has 4 rows and 2 labels"),
        ({"fts": np.full((4, 6), np.nan)}, "fts is not of numbers from 0 on"),
        ({"fts": -np.ones((4, 6))}, "fts is not of numbers from 0 on"),
        ({"fts": np.zeros((4, 6))}, "row 0 of fts is empty"),
        ({"fts": np.ones((4, 6, 2))}, r"fts is \(4, 6, 2\)"),
    ],
)
def test_surf(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    for domain in ("dslr", "webcam"):
        savemat(tmp_path / f"{domain}.mat", {"fts": np.ones((4, 6)), "labels": np.array([1, 2, 3, 4])} | change)
    with pytest.raises(UserError, match=rf"dslr.mat cannot be read \({expected}"):
        OfficeCaltech10SURF("dslr", "webcam", root=str(tmp_path)).load()


def test_checked_keeps_what_is_right() -> None:
    images = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    assert checked(images, torch.tensor([0.0, 2.0, 1.0]), 3).labels.tolist() == [0, 2, 1]
    with pytest.raises(ValueError, match="row 1 has the label 3"):
        checked(images, torch.tensor([0, 3, 1]), 3)


def test_rows_without_a_label_are_of_no_class() -> None:
    data = Images(torch.zeros(5, 1, 2, 2, dtype=torch.uint8), torch.tensor([-1, 0, 2, 1, -1]))
    assert data.of_classes([2, 1]).labels.tolist() == [0, 1]
    assert data.of_classes([2, 7]).labels.tolist() == [0]
