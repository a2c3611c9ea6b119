"""Omniglot: characters of many alphabets, each drawn once by twenty people."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile

import torch
from torch import Tensor

from tlda.data.arrays import Images, Splits, require_size
from tlda.data.cache import cached
from tlda.data.files import decode, pixels, reading
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain
from tlda.errors import UserError
from tlda.tasks import Classification, Task

RUNS, RUN_CLASSES = 20, 20
"""The authors' runs, and the classes of each."""

FILES = {"small1": "images_background_small1", "small2": "images_background_small2", "runs": "all_runs"}
"""The distributor's archive of each domain."""

TURNS = (0, 90, 180, 270)
"""The degrees by which characters are turned to make more classes of them."""


class Omniglot(DomainPair):
    """Omniglot's minimal split: characters of five alphabets, and others to learn from a few examples (Lake et al., Science 2015).

    White on black, (n, 1, size, size). The classes of the target are those of the alphabets that the source has not, so that only few-shot
    methods measure anything on it: see :class:`Episodes`. The target ``runs`` are the authors' twenty one-shot tests within an alphabet.

    Args:
        source: ``small1`` or ``small2``, five alphabets each, some of which they share.
        target: the other one, or ``runs``.
        size: the height and width of the images, 105 as they were drawn.
        rotations: whether the source's characters, turned by right angles, are classes of their own, four times as many.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a source that is the target; a file that is missing or damaged.
    """

    def __init__(
        self,
        source: Literal["small1", "small2"] = "small1",
        target: Literal["small1", "small2", "runs"] = "small2",
        size: int = 28,
        rotations: bool = True,
        root: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if source == target:
            raise UserError(f"the source and the target of Omniglot are both {source}, and have no class of their own: name two")
        self.source, self.target, self.size, self.rotations = source, target, require_size(size), rotations
        self.folder = Path(root or os.environ.get("TLDA_DATA") or "data") / "omniglot"

    @cached_property
    def task(self) -> Task:
        turned = [f"{name} {turn}" for name in self.names(self.source) for turn in (TURNS if self.rotations else (0,))]
        return Classification([*turned, *self.names(self.target)])

    def names(self, domain: str) -> list[str]:
        """The characters of a domain, without those of an alphabet that the source has where it is the target."""
        if domain == "runs":
            return [f"run{run:02}/class{number:02}" for run in range(1, RUNS + 1) for number in range(1, RUN_CLASSES + 1)]
        known = _characters(self.archive(self.source)) if domain != self.source else []
        alphabets = {name.split("/")[0] for name in known}
        return [name for name in _characters(self.archive(domain)) if name.split("/")[0] not in alphabets]

    def archive(self, domain: str) -> Path:
        """The archive of a domain.

        Raises:
            UserError: it is not there.
        """
        path = self.folder / f"{FILES[domain]}.zip"
        if not path.is_file():
            raise UserError(f"Omniglot's {path.name} is missing in {self.folder}: put the distributor's file there, or give --data.root")
        return path

    def load(self) -> tuple[Domain, Domain]:
        """The characters of both parts, turned where ``rotations`` says."""
        source, target = (self._read(name) for name in (self.source, self.target))
        if self.rotations:
            turns = [torch.rot90(source.images, turn // 90, (2, 3)) for turn in TURNS]
            labels = [source.labels * len(TURNS) + number for number in range(len(TURNS))]
            source = Images(torch.cat(turns), torch.cat(labels))
        first = len(self.task.classes) - len(self.names(self.target))
        return Domain(self.source, source), Domain(self.target, Images(target.images, target.labels + first))

    def describe_row(self, row: int) -> str:
        return str(self.given_names[row]) if self.target == "runs" else self._files(self.target)[row]

    @property
    def given_names(self) -> list[str]:
        """The images of the runs in order: of each run the examples by class, then the queries."""
        return self._files("runs")

    @property
    def given_episodes(self) -> list[Tensor] | None:
        """The rows of each of the authors' runs, the examples first; None where episodes are to be drawn."""
        rows = torch.arange(RUNS * 2 * RUN_CLASSES).view(RUNS, -1)
        return list(rows) if self.target == "runs" else None

    def _files(self, domain: str) -> list[str]:
        """The images of a domain within its archive, in the order of its rows."""
        path = self.archive(domain)
        found = sorted(name for name in _listed(path) if name.endswith(".png"))
        if domain == "runs":
            return sorted(found, key=lambda name: (name.split("/")[0], "/test/" in name, name))
        wanted = set(self.names(domain))
        return [name for name in found if _character(name) in wanted]

    def _read(self, domain: str) -> Images:
        path, files = self.archive(domain), self._files(domain)
        state = path.stat()
        name = f"omniglot-1-{domain}-{len(files)}-{self.size}-{state.st_size}-{state.st_mtime_ns}"
        return cached(name, lambda: Splits(self._decoded(path, files), None)).train

    def _decoded(self, path: Path, files: list[str]) -> Images:
        with reading(path), ZipFile(path) as archive:
            images = [255 - pixels(decode(archive.read(name)).convert("L")) for name in files]
            labels = _run_labels(archive, files) if files[0].startswith("run") else _labels(files)
            return Images(torch.stack(images), torch.tensor(labels)).resized(self.size)


def _listed(path: Path) -> list[str]:
    with reading(path), ZipFile(path) as archive:
        return archive.namelist()


def _character(name: str) -> str:
    """``ALPHABET/CHARACTER`` of the path of an image."""
    return "/".join(name.split("/")[1:3])


def _characters(path: Path) -> list[str]:
    return sorted({_character(name) for name in _listed(path) if name.endswith(".png")})


def _labels(files: list[str]) -> list[int]:
    numbers: OrderedDict[str, int] = OrderedDict()
    return [numbers.setdefault(_character(name), len(numbers)) for name in files]


def _run_labels(archive: ZipFile, files: list[str]) -> list[int]:
    """The class of each image: of an example its own, of a query that of the example which the run's list names beside it."""
    answers: dict[str, str] = {}
    for run in sorted({name.split("/")[0] for name in files}):
        answers |= dict(re.findall(r"(\S+)\s+(\S+)", archive.read(f"{run}/class_labels.txt").decode()))
    examples = [answers.get(name, name) for name in files]
    return [(int(name[3:5]) - 1) * RUN_CLASSES + int(name[-6:-4]) - 1 for name in examples]
