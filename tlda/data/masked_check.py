"""``tlda data check`` of images with masks: which classes there are, which masks do not fit, and a sheet of some with their images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlda.data.check import SHOWN, refuse_wrong, sheet_of
from tlda.data.files import decode, reading
from tlda.data.folders import in_threads
from tlda.data.layouts import few, subfolders
from tlda.data.masked_files import mask_values, require_same_size, written
from tlda.data.masks import Files, Masks, files_of
from tlda.data.sized_files import warn_of_turned
from tlda.documents.palette import palette
from tlda.errors import UserError, subclasses

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SIDE = 128
"""The height and width of an image on the sheet."""

MOST = 30
"""The values of pixels that are listed."""


@dataclass
class Domain:
    """A domain's images with their masks, the pixels that each value has, whether masks have colours or numbers, and what is wrong."""

    name: str
    files: Files
    fitting: list[tuple[Path, Path | None]] = field(default_factory=list)
    values: Counter[int] = field(default_factory=Counter)
    coloured: set[bool] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


def masked(name: str, root: str | None) -> tuple[str, dict[str, Files]] | None:
    """The name and the files by domain of a data set with masks of that name, or of a folder with such domains; None where it is neither.

    Raises:
        UserError: an image has no mask, or a mask no image.
    """
    families: dict[str, Any] = subclasses(Masks)
    if name in families and families[name].known_domains:
        data = families[name](root)
        parts = {domain: data.find(domain) for domain in data.known_domains}
        return name, {domain: [*train, *(test or ())] for domain, (train, test) in parts.items()}
    home = Path(name).expanduser()
    domains = [domain for domain in subfolders(home) if _has(home / domain, "images")] if home.is_dir() else []
    if not any(_has(home / domain, "masks") for domain in domains):
        return None
    found = {domain: files_of(home / domain, "images", "masks", True) for domain in domains}
    return home.resolve().name, {domain: [pair for part in parts for pair in part] for domain, parts in found.items()}


def _has(folder: Path, kind: str) -> bool:
    return (folder / kind).is_dir() or (folder / "train" / kind).is_dir()


def check_masks(name: str, files: dict[str, Files], sheet: Path | None) -> None:
    """Look through images with masks, print what they have, and draw some of each domain beside their masks.

    Raises:
        UserError: a file cannot be read, or a mask does not fit its image.
    """
    sheet = sheet_of(name, sheet)
    domains = [_checked(domain, pairs) for domain, pairs in files.items()]
    if len(_coloured(domains)) > 1:  # a mask of greys alone reads as numbers, and is of colours where others have some
        domains = [_checked(domain, pairs, True) for domain, pairs in files.items()]
    for domain in domains:
        warn_of_turned(domain.name, [image for image, mask in domain.fitting if mask is not None])
    for line in report(domains):
        print(line)
    mask_sheet(domains).save(sheet)
    print(f"tlda: wrote {sheet}, a few images of each domain beside their masks")
    refuse_wrong([sentence for domain in domains for sentence in domain.wrong], "images or masks")


def _coloured(domains: Sequence[Domain]) -> set[bool]:
    return {one for domain in domains for one in domain.coloured}


def _checked(name: str, files: Files, as_colours: bool = False) -> Domain:
    domain = Domain(name, files)
    for pair, found in zip(files, in_threads(lambda row: _look(*files[row], as_colours), range(len(files))), strict=True):
        if isinstance(found, str):
            domain.wrong.append(found)
        else:
            domain.fitting.append(pair)
            domain.values.update(found[0])
            domain.coloured |= found[1]
    return domain


def _look(image: Path, mask: Path | None, as_colours: bool) -> tuple[dict[int, int], set[bool]] | str:
    """How many pixels of a mask have each value, and whether these are colours; or what is wrong with an image or its mask."""
    try:
        with reading(image):
            decode(image, turned=False)
        if mask is None:
            return {}, set()
        values, coloured = mask_values(mask, as_colours)
        require_same_size(mask, values.shape, image)
    except UserError as error:
        return str(error)
    return dict(zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True)), {coloured}


def report(domains: Sequence[Domain]) -> Iterator[str]:
    """Describe the domains, line by line: their numbers, and a table of the fraction of pixels that each value has."""
    for domain in domains:
        masks = sum(mask is not None for _, mask in domain.files)
        said = f"{masks} masks" if masks else "no masks: it can be a target without labels"
        yield f"{domain.name}: {len(domain.files)} images, {said}"
    every, coloured = sorted({value for domain in domains for value in domain.values}), True in _coloured(domains)
    names = [written(value, coloured) for value in every]
    yield "  ".join(["pixels".ljust(max(map(len, [*names, "pixels"]))), *(domain.name.rjust(8) for domain in domains)])
    for value, name in list(zip(every, names, strict=True))[:MOST]:
        shares = [100 * domain.values[value] / max(domain.values.total(), 1) for domain in domains]
        yield "  ".join([name.ljust(max(map(len, [*names, "pixels"]))), *(f"{share:.2f} %".rjust(8) for share in shares)])
    if len(every) > MOST:
        yield f"and {len(every) - MOST} more values; are the masks saved with loss, as JPEG is, or with soft borders?"
    yield f"--data.classes names them: {few([f'NAME: {name}' for name in names], 3)}; those without a class are --data.void"


def mask_sheet(domains: Sequence[Domain]) -> Picture:
    """A picture with a line per domain, of :data:`SHOWN` images each with its mask beside it, in a colour per value."""
    from PIL import Image, ImageDraw, ImageOps

    every, coloured = sorted({value for domain in domains for value in domain.values}), True in _coloured(domains)
    colours = np.array(palette(len(every)) or [(0, 0, 0)], dtype=np.uint8)
    sheet = Image.new("RGB", (2 * SHOWN * (SIDE + 4), (SIDE + 24) * len(domains)), "white")
    draw = ImageDraw.Draw(sheet)
    for line, domain in enumerate(domains):
        draw.text((4, line * (SIDE + 24) + 6), domain.name, fill="black")
        rows = domain.fitting
        for number, place in enumerate(sorted({round(i * (len(rows) - 1) / (SHOWN - 1)) for i in range(SHOWN)}) if rows else []):
            image, mask = rows[place]
            pictures = [decode(image, turned=False)]
            if mask is not None:
                pictures.append(Image.fromarray(colours[np.searchsorted(every, mask_values(mask, coloured)[0])]))
            for column, picture in enumerate(pictures, 2 * number):
                fitted = ImageOps.pad(picture, (SIDE, SIDE), method=Image.Resampling.NEAREST, color="white")
                sheet.paste(fitted, (column * (SIDE + 4), line * (SIDE + 24) + 22))
    return sheet
