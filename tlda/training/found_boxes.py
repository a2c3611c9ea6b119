"""The pictures that `tlda predict` writes of boxes: each image with what is found, and beside it what is labelled, where it is known."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tlda.data.boxed_files import BoxedFiles
from tlda.data.files import decode, reading
from tlda.data.pair import DomainPair
from tlda.documents.outlines import DRAWN, Outline, beside, outlined
from tlda.documents.palette import palette
from tlda.writing import require_writable, write_bytes

SIDE = 640
"""The longer side of an image in a picture."""


def labelled(data: DomainPair, names: Sequence[str]) -> dict[str, list[Outline]]:
    """The labelled boxes of the classes ``names``, by the path of each image that is predicted and annotated."""
    target = data.loaded[1]
    rows = target.train if target.test is None else target.test
    found = rows.found if isinstance(rows, BoxedFiles) else ()
    return {str(one.image): [box for box in one.boxes if box.name in names] for one in found if one.boxes is not None}


def write_pictures(path: Path, columns: Mapping[str, Sequence[Any]], names: Sequence[str], true: Mapping[str, Sequence[Outline]]) -> Path:
    """Write a picture of each image with its found boxes of a score of :data:`tlda.documents.outlines.DRAWN` or more.

    Args:
        path: the file of the answers; the pictures are in a folder beside it.
        columns: ``file`` and ``boxes``, :class:`tlda.nn.center_net.Found` of each image.
        names: the names of the classes.
        true: the labelled boxes by ``file``, which are drawn beside.

    Returns:
        the folder.
    """
    folder = path.with_name(f"{path.stem}_boxes")
    require_writable(folder, "--output")
    colours = dict(zip(names, palette(len(names)), strict=True))
    for file, place, boxes in zip(columns["file"], places_of(columns["file"]), columns["boxes"], strict=True):
        with reading(Path(file)):
            image = decode(Path(file), turned=False)
        drawn = [(b.name, b.left, b.top, b.left + b.width, b.top + b.height) for b in boxes if b.score >= DRAWN]
        panels = {f"found, score {DRAWN} or more": drawn} | ({"labels": true[file]} if file in true else {})
        shown = [name for name in names if any(box[0] == name for panel in panels.values() for box in panel)]
        picture = beside({title: outlined(image, panel, colours, SIDE) for title, panel in panels.items()}, colours, shown)
        picture.save(jpeg := io.BytesIO(), "JPEG", quality=90)
        write_bytes(folder / f"{place}.jpg", jpeg.getvalue())
    return folder


def places_of(files: Sequence[object]) -> list[str]:
    """A name for what is written of each of ``files``: its own without the ending, after its row's number where others have that too.

    All are numbered where such a name is again that of another. Some file systems take ``A`` for ``a``.
    """
    stems = [Path(str(file)).stem for file in files]
    numbered = [f"{row}-{stem}" for row, stem in enumerate(stems)]
    counts = Counter(map(str.casefold, stems))
    some = [stem if counts[stem.casefold()] == 1 else other for stem, other in zip(stems, numbered, strict=True)]
    return some if len({*map(str.casefold, some)}) == len(some) else numbered
