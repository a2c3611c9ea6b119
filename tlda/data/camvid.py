"""CamVid: road scenes of four drives, three by day and one at dusk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from tlda.data.files import by_name, image_files
from tlda.data.masks import Files, Masks, matched
from tlda.data.pooling import Name
from tlda.errors import UserError

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
"""The eleven classes that are usually measured (Sturgess et al., BMVC 2009); 11 is void."""

DRIVES = ("0001TP", "0006R0", "0016E5", "Seq05VD")
"""The drives, which are the beginnings of the files' names: the first is at dusk."""

TRAIN, TEST = ("train",), ("val", "test")
"""The folders of what is trained on, and of what is measured; masks lie in those of the same names with ``annot``."""


class CamVid(Masks):
    """Road scenes of 320 x 240 pixels in eleven classes (Brostow et al., 2008), whose drives are the domains.

    The files are those of SegNet's authors: ``train``, ``val`` and ``test``, with ``trainannot`` and so on. A drive trains on its images in
    ``train``, and is measured on those in ``val`` and ``test``; a drive that is in ``test`` alone, Seq05VD, is adapted to as a whole,
    without its masks, and measured as a whole.

    Args:
        root: the folder of the data; by default ``camvid`` in ``TLDA_DATA``.
        source: the drives with labels; by default those by day, 0006R0 and 0016E5.
        target: the drive without; by default 0001TP, at dusk.
        size: see :class:`Masks`.
        **kwargs: see :class:`Masks`.

    Raises:
        UserError: an unknown drive; files that are missing.
    """

    known_domains: ClassVar[Sequence[str]] = DRIVES

    def __init__(
        self,
        root: str | None = None,
        source: list[Name] | Name | None = None,
        target: Name = "0001TP",
        size: list[int] | int | None = None,
        **kwargs: Any,
    ) -> None:
        if fixed := sorted({"classes", "void", "images", "masks"} & kwargs.keys()):
            raise UserError(f"CamVid has classes and folders of its own: leave --data.{fixed[0]} out")
        drives: list[Name] = source if isinstance(source, list) else ["0006R0", "0016E5"] if source is None else [source]
        shown = [240, 320] if size is None else size
        super().__init__(  # as options of its own, which the parser leaves out of those that it takes from kwargs
            root or "camvid", drives, target, list(CLASSES), [len(CLASSES)], shown, images="images", masks="masks", **kwargs
        )
        for name in (*self.sources, self.target):
            if name not in DRIVES:
                raise UserError(f"CamVid has no drive '{name}': its drives are {', '.join(DRIVES)}")

    def find(self, name: str) -> tuple[Files, Files | None]:
        train, test = ([pair for folder in folders for pair in self._of(name, folder)] for folders in (TRAIN, TEST))
        if not train and not test:
            raise UserError(f"{self.root} has no images of the drive {name}: put SegNet's files of CamVid there, or set --data.root")
        return (train, test or None) if train else (test, None)

    def _of(self, drive: str, folder: str) -> Files:
        images, masks = (_of_drive(self.root / name, drive) for name in (folder, f"{folder}annot"))
        return matched(images, masks, self.root / f"{folder}annot")


def _of_drive(folder: Path, drive: str) -> dict[Path, Path]:
    found = (path for path in image_files(folder) if path.stem.split("_")[0] == drive) if folder.is_dir() else ()
    return by_name(found, lambda path: Path(path.stem))
