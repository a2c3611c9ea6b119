"""Boxes drawn into images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw

Outline = tuple[str, float, float, float, float]
"""The name of a box's class, and its left, top, right and bottom as shares of the image's width and height."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

DRAWN = 0.3
"""The least score of a found box that is drawn."""

LINE = 22
"""The height of a line of words in pixels."""


def outlined(image: Picture, boxes: Iterable[Outline], colours: Mapping[str, Colour], side: int) -> Picture:
    """``image``, brought to ``side`` pixels at its longer side, with ``boxes`` in the ``colours`` of their names."""
    from PIL import ImageDraw, ImageOps

    picture = ImageOps.contain(image.convert("RGB"), (side, side))
    pen = ImageDraw.Draw(picture)
    for name, *shares in boxes:
        left, top, right, bottom = (share * length for share, length in zip(shares, picture.size * 2, strict=True))
        pen.rectangle([left, top, max(left, right - 1), max(top, bottom - 1)], outline=colours[name], width=2)
    return picture


def words(draw: ImageDraw, place: tuple[float, float], said: Iterable[tuple[str, Colour]]) -> None:
    """Write words from ``place`` on, each in its colour."""
    left, top = place
    for word, colour in said:
        draw.text((left, top), word, fill=colour)
        left += draw.textlength(word) + 8


def beside(pictures: Mapping[str, Picture], colours: Mapping[str, Colour], names: Sequence[str]) -> Picture:
    """``pictures`` of one size beside each other, their titles above them, and above all ``names`` in their colours."""
    from PIL import Image, ImageDraw

    width, height = next(iter(pictures.values())).size
    sheet = Image.new("RGB", (len(pictures) * (width + 4) - 4, height + 2 * LINE), "white")
    draw = ImageDraw.Draw(sheet)
    words(draw, (4, 6), [(name, colours[name]) for name in names])
    for number, (title, picture) in enumerate(pictures.items()):
        words(draw, (number * (width + 4) + 4, LINE + 6), [(title, (0, 0, 0))])
        sheet.paste(picture, (number * (width + 4), 2 * LINE))
    return sheet
