"""Find the files of a data set, or download them."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tlda.errors import UserError

MIRRORS: dict[str, tuple[str, ...]] = {}
"""Base addresses to take a domain's files from in place of their distributor's, by the domain's name."""


class Remote(NamedTuple):
    """A file: where it goes below the folder of digits, its MD5, and where it comes from, first choice first."""

    path: str
    md5: str
    urls: tuple[str, ...]


def remotes(domain: str) -> list[Remote]:
    """The files of a domain, as torchvision lists them; MNIST-M's archive as pytorch-adapt does."""
    from torchvision.datasets import MNIST, SVHN, USPS

    if domain == "mnist":
        files = [Remote(f"MNIST/raw/{name}", md5, tuple(base + name for base in MNIST.mirrors)) for name, md5 in MNIST.resources]
    elif domain == "mnist_m":
        url = "https://cornell.box.com/shared/static/jado7quprg6hzzdubvwzh9umr75damwi"
        files = [Remote("mnist_m/mnist_m.tar.gz", "859df31c91afe82e80e5012ba928f279", (url,))]
    else:
        parts = {"usps": USPS, "svhn": SVHN}[domain].split_list
        files = [Remote(f"{domain}/{name}", md5, (url,)) for url, name, md5 in (parts["train"], parts["test"])]
    bases = MIRRORS.get(domain)
    return [f._replace(urls=tuple(base + Path(f.path).name for base in bases)) for f in files] if bases else files


@dataclass(frozen=True)
class Store:
    """A data root, whose digits lie in ``digits`` or, as torchvision lays them, directly in it.

    Args:
        root: the data root.
        download: fetch what is missing.
    """

    root: Path
    download: bool = False

    @property
    def folder(self) -> Path:
        """The folder of downloads."""
        return self.root / "digits"

    def find(self, domain: str, *paths: str) -> Path:
        """The first of ``paths`` that is there, after a download where that is wanted.

        Raises:
            UserError: none is there, or the download failed.
        """
        if found := self._look(paths):
            return found
        if not self.download:
            raise UserError(
                f"{domain} is missing: there is no {self.folder / paths[0]}; give --data.download true, "
                "or name the folder that has it by --data.root or TLDA_DATA"
            )
        for remote in remotes(domain):
            fetch(remote, self.folder)
        found = self._look(paths)
        assert found is not None
        return found

    def _look(self, paths: tuple[str, ...]) -> Path | None:
        places = (base / path for path in paths for base in (self.folder, self.root))
        return next((place for place in places if place.exists()), None)


def fetch(remote: Remote, folder: Path) -> Path:
    """Download one file to its place below ``folder``, whole or not at all.

    Raises:
        UserError: no address gave the file with the right checksum.
    """
    path = folder / remote.path
    if path.exists():
        return path
    reasons = []
    for url in remote.urls:
        try:
            return _fetch(url, remote.md5, path)
        except (OSError, RuntimeError, ValueError) as error:  # no network or folder; a wrong checksum; not an address
            reasons.append(f"{url} ({error})")
    raise UserError(f"no download of {path.name} from {' nor '.join(reasons)}; get it by hand and put it at {path}")


def _fetch(url: str, md5: str, path: Path) -> Path:
    from torchvision.datasets.utils import download_url

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        download_url(url, folder, path.name, md5)
        os.replace(Path(folder, path.name), path)
    return path
