"""``tlda data check`` of images with boxes: which classes there are, which boxes do not fit, and a sheet of some images with theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tlda.data.box_layouts import Annotated, held, parts_of, read_boxes
from tlda.data.check import SHOWN, refuse_wrong, sheet_of
from tlda.data.files import SUFFIXES, decode, image_files, reading
from tlda.data.folders import in_threads
from tlda.data.layouts import data_root, subfolders
from tlda.data.sized_files import warn_of_turned
from tlda.documents.outlines import outlined, words
from tlda.documents.palette import palette
from tlda.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIDE = 192
"""The height and width of an image on the sheet."""


@dataclass
class Domain:
    """A domain's images with their boxes, the names of the classes in their order, and what is wrong with them."""

    name: str
    images: list[Annotated] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """The boxes of each class."""
        return Counter(box.name for one in self.images for box in one.boxes or ())


def boxed(name: str) -> tuple[str, dict[str, Path]] | None:
    """The name and the domains of a folder of images with boxes, or of one such domain; None where it is neither."""
    home = Path(name).expanduser()
    home = home if home.is_dir() else data_root(name)
    if not home.is_dir():
        return None
    if _has_boxes(home):
        return home.resolve().name, {home.resolve().name: home}
    inside = {domain: home / domain for domain in subfolders(home)}
    if not any(_has_boxes(folder) for folder in inside.values()):
        return None
    return home.resolve().name, {domain: folder for domain, folder in inside.items() if _has_boxes(folder) or image_files(folder)}


def _has_boxes(folder: Path) -> bool:
    """Whether it or a part of it has annotations, and images where these are looked for: a JSON file alone may be of anything."""
    return any(set(held(part)) - {"coco"} or (held(part) and _has_images(part)) for part in parts_of(folder))


def _has_images(folder: Path) -> bool:
    return (folder / "images").is_dir() or any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def check_boxes(name: str, folders: Mapping[str, Path], sheet: Path | None) -> None:
    """Look through images with boxes, print what they have, and draw some of each domain with their boxes.

    Raises:
        UserError: an image cannot be read, or a box does not fit its image.
    """
    sheet = sheet_of(name, sheet)
    domains = [_checked(domain, folder) for domain, folder in folders.items()]
    for line in report(domains):
        print(line)
    box_sheet(domains).save(sheet)
    print(f"tlda: wrote {sheet}, a few images of each domain with their boxes")
    refuse_wrong([sentence for domain in domains for sentence in domain.wrong], "domains or images")


def _checked(name: str, folder: Path) -> Domain:
    domain = Domain(name)
    try:
        parts = [read_boxes(part, None, [], True, folder.parent) for part in parts_of(folder)]
    except UserError as error:
        domain.wrong.append(str(error))
        return domain
    domain.names = list(dict.fromkeys(one for part in parts for one in part.names))
    images = [one for part in parts for one in (*part.images, *part.test)]
    errors = list(in_threads(lambda row: _error(images[row].image), range(len(images))))
    domain.images = [one for one, error in zip(images, errors, strict=True) if not error]
    domain.wrong = [error for error in errors if error]
    warn_of_turned(name, [one.image for one in domain.images if one.boxes is not None])
    return domain


def _error(image: Path) -> str:
    """What is wrong with an image; empty where it can be read."""
    try:
        with reading(image):
            decode(image, turned=False)
    except UserError as error:
        return str(error)
    return ""


def report(domains: Sequence[Domain]) -> Iterator[str]:
    """Describe the domains, line by line: their numbers, and a table of the boxes of each class."""
    for domain in domains:
        known = [one for one in domain.images if one.boxes is not None]
        empty = sum(not one.boxes for one in known)
        said = f"{domain.counts.total()} boxes, {empty} images without one" if known else "no boxes: it can be a target without labels"
        yield f"{domain.name}: {len(domain.images)} images, {said}"
    names = _names(domains)
    wide, widths = max(map(len, [*names, "boxes"])), [max(8, len(domain.name)) for domain in domains]
    yield "  ".join(["boxes".ljust(wide), *(domain.name.rjust(width) for domain, width in zip(domains, widths, strict=True))])
    for name in names:
        counts = [str(domain.counts[name]) for domain in domains]
        yield "  ".join([name.ljust(wide), *(count.rjust(width) for count, width in zip(counts, widths, strict=True))])
    if any(domain.names and {*domain.names} != {*names} for domain in domains):
        yield "the domains have unlike classes: --data.classes names those that all of them have"


def _names(domains: Sequence[Domain]) -> list[str]:
    return list(dict.fromkeys(name for domain in domains for name in domain.names))


def box_sheet(domains: Sequence[Domain]) -> Picture:
    """A picture with a line per domain, of :data:`SHOWN` images with their boxes, in a colour per class, whose names are above them."""
    from PIL import Image, ImageDraw

    names = _names(domains)
    colours = dict(zip(names, palette(len(names)), strict=True))
    sheet = Image.new("RGB", (SHOWN * (SIDE + 4), (SIDE + 24) * len(domains)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, domain in enumerate(domains):
        top = line * (SIDE + 24)
        words(draw, (4, top + 6), [(domain.name, (0, 0, 0)), *((name, colours[name]) for name in domain.names)])
        last = len(domain.images) - 1
        for number, place in enumerate(sorted({round(i * last / (SHOWN - 1)) for i in range(SHOWN)}) if domain.images else []):
            one = domain.images[place]
            picture = outlined(decode(one.image, turned=False), one.boxes or (), colours, SIDE)
            sheet.paste(picture, (number * (SIDE + 4), top + 22))
    return sheet
