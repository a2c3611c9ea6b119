"""DRIVE: vessels in photographs of the retina."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from tlda.data.files import by_name, image_files
from tlda.data.masked_files import MaskedFiles
from tlda.data.masks import Files, Masks, matched
from tlda.data.pooling import Name
from tlda.errors import UserError


class DRIVE(Masks):
    """Photographs of the retina, 565 x 584 pixels, and its vessels (Staal et al., TMI 2004); what is outside the field of view is void.

    The files are the distributor's: ``training`` and ``test`` with ``images``, ``1st_manual``, the masks, and ``mask``, the fields of
    view. The two parts are domains, of which the first has labels by default; a ``test`` without masks is not measured.

    Args:
        root: the folder of the data; by default ``DRIVE`` in ``TLDA_DATA``.
        source: the part with labels.
        target: the part without.
        size: see :class:`Masks`.
        **kwargs: see :class:`Masks`.

    Raises:
        UserError: files that are missing; another part.
    """

    known_domains: ClassVar[Sequence[str]] = ("training", "test")

    def __init__(
        self, root: str | None = None, source: Name = "training", target: Name = "test", size: list[int] | int | None = None, **kwargs: Any
    ) -> None:
        if fixed := sorted({"classes", "void", "images", "masks"} & kwargs.keys()):
            raise UserError(f"DRIVE has classes and folders of its own: leave --data.{fixed[0]} out")
        classes: Any = {"background": [0, 0, 0], "vessel": [255, 255, 255]}
        super().__init__(root or "DRIVE", source, target, classes, None, 512 if size is None else size, **kwargs)
        for name in (*self.sources, self.target):
            if name not in self.known_domains:
                raise UserError(f"DRIVE has no part '{name}': its parts are {' and '.join(self.known_domains)}")

    def find(self, name: str) -> tuple[Files, Files | None]:
        images, masks = (self._numbered(name, kind) for kind in ("images", "1st_manual"))
        if not images:
            raise UserError(f"{self.root / name / 'images'} has no images: put DRIVE's files there, or set --data.root")
        if not masks and name == self.target:
            return [(path, None) for path in images.values()], None
        return matched(images, masks, self.root / name / "1st_manual"), None

    def _numbered(self, part: str, kind: str) -> dict[Path, Path]:
        """The files of a kind by the number that their names begin with."""
        folder = self.root / part / kind
        return by_name(image_files(folder) if folder.is_dir() else (), lambda path: Path(path.stem.split("_")[0]))

    def rows_of(self, files: Files) -> MaskedFiles:
        rows = super().rows_of(files)
        if all(mask is None for _, mask in files):
            return rows
        fields = {path: kind for part in self.known_domains for path, kind in self._fields(part)}
        if lone := [image for image, _ in files if image not in fields]:
            raise UserError(f"{len(lone)} images of DRIVE have no field of view in the folder mask, the first: {lone[0]}; put it there")
        return replace(rows, fields=[fields[image] for image, _ in files])

    def _fields(self, part: str) -> Sequence[tuple[Path, Path]]:
        images, fields = self._numbered(part, "images"), self._numbered(part, "mask")
        return [(path, fields[number]) for number, path in images.items() if number in fields]
