from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from torchvision.datasets import MNIST, SVHN, USPS

from tests.helpers.tiny_files import mnist_m_files, write_mnist, write_mnist_m, write_usps_libsvm
from tlda.data import Digits
from tlda.data.download import MIRRORS, Remote, fetch, remotes
from tlda.errors import UserError


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing in the output of the tests."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address that serves it on loopback, in place of every distributor."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    for domain in ("mnist", "usps", "mnist_m", "svhn"):
        monkeypatch.setitem(MIRRORS, domain, (address,))
    yield folder, address
    server.shutdown()
    server.server_close()
    thread.join()


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def trust(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checksums be those of the tiny files."""
    monkeypatch.setattr(MNIST, "resources", [(p.name, md5(p)) for p in sorted(folder.glob("*ubyte.gz"))])
    parts = {"train": "usps.bz2", "test": "usps.t.bz2"}
    monkeypatch.setattr(USPS, "split_list", {part: ("", name, md5(folder / name)) for part, name in parts.items()})


def test_missing_files_are_fetched(served: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = served
    write_mnist(folder)
    write_usps_libsvm(folder / "usps.bz2", 20)
    write_usps_libsvm(folder / "usps.t.bz2", 10)
    trust(folder, monkeypatch)
    root = tmp_path / "root"
    mnist, usps = Digits("mnist", "usps", root=str(root), download=True).load()
    assert (len(mnist.train), len(usps.train)) == (40, 20)
    got = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    assert got == sorted(
        [f"digits/MNIST/raw/{p.name}" for p in folder.glob("*ubyte.gz")] + ["digits/usps/usps.bz2", "digits/usps/usps.t.bz2"]
    )


def test_a_wrong_checksum_leaves_nothing_and_says_what_to_do(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    write_mnist_m(folder / "mnist_m.tar.gz", mnist_m_files())
    place = tmp_path / "root" / "digits" / "mnist_m" / "mnist_m.tar.gz"
    with pytest.raises(UserError, match=rf"{address}mnist_m.tar.gz .*corrupted.*put it at {place}"):
        Digits("mnist_m", "handwritten", root=str(tmp_path / "root"), download=True).load()
    assert not [p for p in (tmp_path / "root").rglob("*") if p.is_file()]


def test_an_address_without_the_file_is_named_and_the_next_is_tried(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "x.bin").write_bytes(b"content")
    remote = Remote("a/x.bin", md5(folder / "x.bin"), (f"{address}elsewhere/x.bin", f"{address}x.bin"))
    assert fetch(remote, tmp_path / "to").read_bytes() == b"content"
    with pytest.raises(UserError, match=r"elsewhere/x.bin \(.*404.*get it by hand"):
        fetch(remote._replace(path="b/x.bin", urls=remote.urls[:1]), tmp_path / "to")


def test_a_folder_that_cannot_be_written_is_named(served: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"put it at"):
        Digits("svhn", "handwritten", root=str(tmp_path / "file"), download=True).load()


def test_every_domain_has_addresses_and_checksums() -> None:
    for domain, count in {"mnist": 4, "usps": 2, "svhn": 2, "mnist_m": 1}.items():
        files = remotes(domain)
        assert len(files) == count
        assert all(len(file.md5) == 32 and all(url.startswith("http") for url in file.urls) for file in files)
    assert {Path(file.path).name for file in remotes("svhn")} == {SVHN.split_list[part][1] for part in ("train", "test")}
