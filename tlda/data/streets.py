"""Street scenes with the classes of Cityscapes: rendered, photographed, and photographed with fog put in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from tlda.data.files import by_name, image_files
from tlda.data.masks import Files, Masks, matched
from tlda.data.pooling import Name
from tlda.errors import UserError

CLASSES = {
    "road": 7,
    "sidewalk": 8,
    "building": 11,
    "wall": 12,
    "fence": 13,
    "pole": 17,
    "traffic light": 19,
    "traffic sign": 20,
    "vegetation": 21,
    "terrain": 22,
    "sky": 23,
    "person": 24,
    "rider": 25,
    "car": 26,
    "truck": 27,
    "bus": 28,
    "train": 31,
    "motorcycle": 32,
    "bicycle": 33,
}
"""The nineteen classes that are measured, and their numbers in the masks (Cordts et al., CVPR 2016)."""

VOID = [*range(7), 9, 10, 14, 15, 16, 18, 29, 30, 34, 255]
"""The numbers of pixels that are not measured."""


class Scenes(NamedTuple):
    """Where a domain's files lie: folders of images and of masks, and what names end in beside what both have in common."""

    images: tuple[str, str]
    masks: tuple[str, str]
    parts: tuple[str, ...]
    """The folders of what is trained on, and of what is measured where that is kept apart."""


MASKS = ("cityscapes/gtFine", "_gtFine_labelIds")
DOMAINS = {
    "gta5": Scenes(("gta5/images", ""), ("gta5/labels", ""), ("",)),
    "cityscapes": Scenes(("cityscapes/leftImg8bit", "_leftImg8bit"), MASKS, ("train", "val")),
    "foggy_cityscapes": Scenes(("cityscapes/leftImg8bit_foggy", "_leftImg8bit_foggy_beta_0.02"), MASKS, ("train", "val")),
}
"""The domains by name."""


class Streets(Masks):
    """Street scenes in nineteen classes: ``gta5``, ``cityscapes``, and ``foggy_cityscapes`` of the thickest fog, which are the domains.

    The files are those of the distributors: ``gta5/images`` and ``gta5/labels`` (Richter et al., ECCV 2016); below ``cityscapes`` the
    folders ``leftImg8bit`` and ``gtFine`` (Cordts et al., CVPR 2016), and ``leftImg8bit_foggy`` (Sakaridis et al., IJCV 2018), each with
    ``train`` and ``val``, the second of which is measured. GTA5 is trained on as a whole.

    Args:
        root: the folder that has ``gta5`` and ``cityscapes``; by default ``TLDA_DATA``.
        source: the domain with labels.
        target: the domain without.
        size: see :class:`Masks`; by default half of the sides of Cityscapes.
        **kwargs: see :class:`Masks`.

    Raises:
        UserError: an unknown domain; files that are missing.
    """

    known_domains: ClassVar[Sequence[str]] = tuple(DOMAINS)

    def __init__(
        self,
        root: str | None = None,
        source: list[Name] | Name | None = None,
        target: Name = "cityscapes",
        size: list[int] | int | None = None,
        **kwargs: Any,
    ) -> None:
        if fixed := sorted({"classes", "void", "images", "masks"} & kwargs.keys()):
            raise UserError(f"Streets has classes and folders of its own: leave --data.{fixed[0]} out")
        shown = [512, 1024] if size is None else size
        given = "gta5" if source is None else source
        super().__init__(  # as options of its own, which the parser leaves out of those that it takes from kwargs
            root, given, target, dict(CLASSES), list(VOID), shown, images="images", masks="masks", **kwargs
        )
        for name in (*self.sources, self.target):
            if name not in DOMAINS:
                raise UserError(f"Streets has no domain '{name}': its domains are {', '.join(DOMAINS)}")

    def find(self, name: str) -> tuple[Files, Files | None]:
        found = [self._of(name, part) for part in DOMAINS[name].parts]
        return found[0], found[1] if len(found) > 1 else None

    def _of(self, name: str, part: str) -> Files:
        """The images of a part of the domain ``name``, each with its mask; none has one where a target's folder of masks is missing."""
        scenes = DOMAINS[name]
        images, masks = (self.root / kind[0] / part for kind in (scenes.images, scenes.masks))
        found = _ending(images, scenes.images[1])
        if not found:
            raise UserError(f"{images} has no images *{scenes.images[1]}.png: put the distributor's files there, or set --data.root")
        if name == self.target and not masks.is_dir():
            return [(path, None) for path in found.values()]
        return matched(found, _ending(masks, scenes.masks[1]), masks)


def _ending(folder: Path, ending: str) -> dict[Path, Path]:
    """The images of a folder whose names have the ``ending``, by their paths in it without that."""
    found = (path for path in image_files(folder) if path.stem.endswith(ending)) if folder.is_dir() else ()
    return by_name(found, lambda path: path.relative_to(folder).with_name(path.stem.removesuffix(ending)))
