"""Layouts of image files: one folder per domain and class, or one list per domain with lines of ``PATH LABEL``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tlda.data.files import SUFFIXES, image_files, is_hidden, reading
from tlda.errors import UserError, near, warn

Classes = dict[str, list[Path]]
"""The images of each class."""

WORDS = "words.txt"
"""The file of the names of classes whose folders are numbered."""


class Found(NamedTuple):
    """The images of a domain: those that train, those that its distributor keeps apart, and those that a list has and the disk lacks."""

    train: Classes
    test: Classes | None
    missing: list[Path]

    @property
    def counts(self) -> dict[str, int]:
        """The images of each class."""
        parts = [part for part in (self.train, self.test) if part is not None]
        return {name: sum(len(part.get(name, ())) for part in parts) for name in dict.fromkeys(n for part in parts for n in part)}


@dataclass(frozen=True)
class Layout:
    """A set's folders and lists, by the names that its distributors gave them, and the counts that were published.

    Args:
        name: what the set is called.
        homes: the names of its own folder within a data root.
        domains: by domain, the names that its folder or list goes by; none where any folder is a domain.
        counts: by domain, the published number of images, by class or in all.
        places: where the folder of the domain ``{}`` lies.
        lists: where the list of ``{}`` lies.
        test_lists: where the list of the images of ``{}`` that are kept apart lies.
        renamed: class folders that some distributors call otherwise.
        usual: the source and the target where none is named.
    """

    name: str
    homes: tuple[str, ...] = ()
    domains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int] | int] = field(default_factory=dict)
    places: tuple[str, ...] = ("images/{}", "{}/images", "{}")
    lists: tuple[str, ...] = ("image_list/{}.txt", "image_list/{}_all.txt")
    test_lists: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    usual: tuple[str, str] = ("source", "target")

    @property
    def turned(self) -> bool:
        """Whether images are made upright by the orientation in their EXIF data.

        Those of a set with published counts stay as they are stored, which is how the published results read them.
        """
        return not self.counts

    def require(self, domain: str) -> str:
        """``domain``, where it is one."""
        if self.domains and domain not in self.domains:
            raise UserError(f"{self.name} has no domain '{domain}'{near(domain, self.domains)}")
        return domain

    def home(self, root: str | None) -> Path:
        """The set's own folder: ``root``, or the one in ``TLDA_DATA``, or by one of its names within either."""
        within = data_root(root)
        return next((within / name for name in self.homes if (within / name).is_dir()), within)

    def names(self, domain: str) -> tuple[str, ...]:
        """The names that the folder of ``domain`` goes by."""
        return self.domains.get(domain, (domain,))

    def find(self, home: Path, domain: str) -> Found:
        """The images of ``domain``, by its lists where there are some, else by its folders; no class where it has no labels.

        Raises:
            UserError: there is no such folder, or no image in it; a list that cannot be read.
        """
        path = self._first(home, domain, self.lists)
        if path is None:
            return Found(self._by_class(self.folder(home, domain)), None, [])
        train, missing = self._listed(home, path)
        test_path = self._first(home, domain, self.test_lists)
        test, also = self._listed(home, test_path) if test_path else (None, [])
        return Found(train, test, missing + also)

    def _first(self, home: Path, domain: str, places: Iterable[str]) -> Path | None:
        paths = (home / place.format(name) for place in places for name in self.names(domain))
        return next((path for path in paths if path.exists()), None)

    def holds(self, home: Path, domain: str) -> bool:
        """Whether there is a list or a folder of ``domain``."""
        return self._first(home, domain, (*self.lists, *self.places)) is not None

    def folder(self, home: Path, domain: str) -> Path:
        """The folder of ``domain``."""
        if not home.is_dir():
            raise UserError(f"there is no folder {home}; give --data.root the folder that has the domains in it")
        folder = self._first(home, domain, self.places)
        if self.homes and folder is None:
            lies = home / self.homes[0] / self.places[0].format(self.names(domain)[0])
            raise UserError(f"{home} has no '{domain}' of {self.name}: put its class folders into {lies}, or give another --data.root")
        if folder is None or not folder.is_dir():
            there = subfolders(home)
            raise UserError(f"there is no domain folder {home / self.names(domain)[0]}{_near(self.names(domain)[0], there)}")
        return folder

    def _by_class(self, folder: Path) -> Classes:
        files = {self.renamed.get(name, name): found for name in subfolders(folder) if (found := image_files(folder / name))}
        beside = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file() and not is_hidden(path.name)]
        if not files and not beside and not image_files(folder):
            raise UserError(f"there is no image in {folder}; put them in {folder / 'CLASS'}")
        if files and beside:
            warn(f"{len(beside)} images in {folder} are in none of its class folders, and are left out: {min(beside).name} …")
        return dict(sorted(files.items()))

    def _listed(self, home: Path, path: Path) -> tuple[Classes, list[Path]]:
        """The images on the list at ``path`` by the folder that they lie in, which is their class, and those that are not there."""
        pairs = _read_list(path)
        # A list beside its images counts from their folder, others from the set's.
        base = next((place for place in (home, path.parent) if pairs and (place / pairs[0][0]).exists()), home)
        files: Classes = {}
        missing = []
        for name, _ in pairs:
            file = base / name
            if file.is_file():
                files.setdefault(self.renamed.get(file.parent.name, file.parent.name), []).append(file)
            else:
                missing.append(file)
        if not files:
            raise UserError(f"none of the {len(pairs)} images on {path} is there, the first: {base / pairs[0][0] if pairs else '(none)'}")
        return dict(sorted(files.items())), missing

    def shortfall(self, domain: str, counts: Mapping[str, int]) -> str | None:
        """What the ``counts`` of ``domain`` are where they are not the published ones, in a sentence."""
        published = self.counts.get(domain)
        if published is None:
            return None
        if isinstance(published, int):
            return None if sum(counts.values()) == published else f"{self._share(domain, counts, published)}"
        other = [f"{name} {counts.get(name, 0)} of {count}" for name, count in published.items() if counts.get(name, 0) != count]
        other += [f"{name} {count}, which is no class of it" for name, count in counts.items() if name not in published]
        return f"{self._share(domain, counts, sum(published.values()))} ({few(other)})" if other else None

    def _share(self, domain: str, counts: Mapping[str, int], published: int) -> str:
        return f"{self.name}'s {domain} has {sum(counts.values())} of the {published} images that were published"


@dataclass(frozen=True)
class Synsets(Layout):
    """Class folders by the numbers of WordNet, whose names are in the file ``words.txt`` beside the domains."""

    def find(self, home: Path, domain: str) -> Found:
        found = super().find(home, domain)
        path = home / WORDS
        with reading(path, "its lines are NUMBER<TAB>NAME, NAME …"):
            lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            names = {number: words.split(",")[0].strip() for number, words in lines}
        if unknown := [number for number in found.train if number not in names]:
            raise UserError(f"{path} does not name the class '{unknown[0]}' of {self.name}: get the file again")
        named = {names[number]: files for number, files in found.train.items()}
        if len(named) < len(found.train):
            raise UserError(f"{path} gives two classes of {self.name} one name: say it in other words")
        return found._replace(train=dict(sorted(named.items())))


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in ``folder`` that are not hidden, in order."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def data_root(root: str | None) -> Path:
    """The folder ``root``; where there is none by that name, the one in ``TLDA_DATA``, and without a name that folder itself."""
    data = Path(os.environ.get("TLDA_DATA") or "data")
    if root is None:
        return data
    path = Path(root).expanduser()
    return data / path if (data / path).is_dir() and not path.is_dir() else path


def few(names: Iterable[str], most: int = 8) -> str:
    """The first of ``names``, and how many more there are."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def _near(name: str, names: list[str]) -> str:
    return near(name, names) if names else "; the root has no folders"


def _read_list(path: Path) -> list[tuple[str, int]]:
    """The lines ``PATH LABEL`` of a list, one label a folder.

    Raises:
        UserError: a line that is none; images of one folder under two labels, or of two folders under one.
    """
    with reading(path, "its lines are PATH LABEL"):
        lines = [line.rsplit(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        pairs = [(name, int(label)) for name, label in lines]
    folders: dict[str, int] = {}
    for name, label in pairs:
        folders.setdefault(Path(name).parent.name, label)
    if len(set(folders.values())) < len(folders) or any(folders[Path(name).parent.name] != label for name, label in pairs):
        raise UserError(f"{path} gives one folder two labels, or two folders one: a class is a folder; mend the list or remove it")
    return pairs
