"""A data root of tiny files, and a cache of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.tiny_files import mnist_m_files, write_mnist, write_mnist_m, write_svhn, write_usps_hdf5
from tlda.data.arrays import RECENT


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, session_cache: Path) -> None:
    """No test sees another's data, nor the user's."""
    monkeypatch.setenv("TLDA_CACHE", str(session_cache))
    monkeypatch.delenv("TLDA_DATA", raising=False)
    RECENT.kept.clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a tiny copy of each file-borne domain."""
    digits = tmp_path / "root" / "digits"
    write_mnist(digits / "MNIST" / "raw")
    write_usps_hdf5(digits / "usps" / "usps.h5")
    write_mnist_m(digits / "mnist_m" / "mnist_m.tar.gz", mnist_m_files())
    for part in ("train", "test"):
        write_svhn(digits / "svhn" / f"{part}_32x32.mat")
    return tmp_path / "root"
