"""The section of the report of images whose pixels have classes."""

from __future__ import annotations

import html
from collections.abc import Sequence

import torch

from tlda.documents import svg
from tlda.documents.palette import palette
from tlda.report.maps import painted
from tlda.report.page import Figure, Section
from tlda.report.sections import Side

CAPTION = (
    "Target images, drawn at random from those that are measured: the image, its labels (oracle) where it has some, and the class that is "
    "predicted for each pixel, {}. What is black has no label."
)


def map_sections(sides: Sequence[Side], names: Sequence[str]) -> list[Section]:
    """Some target images: the image, its labels, and what each side predicts, in the colours of the classes ``names``."""
    words = ["image", "labels (oracle)", *(side.label for side in sides)]
    cards = []
    for seen in zip(*(side.outcome.mapped for side in sides), strict=True):
        image, labels = seen[-1].image, seen[-1].labels
        maps = [labels, *(side.predicted for side in seen)]
        photograph = (255 * image.expand(3, -1, -1)).round().byte().permute(1, 2, 0)
        drawn = dict(zip(words, [photograph, *painted(torch.stack(maps), len(names))], strict=True))
        if bool((labels < 0).all()):
            del drawn["labels (oracle)"]
        pictures = "".join(
            f'<img alt="{html.escape(word)}" title="{html.escape(word)}" style="width: {95 // len(drawn)}%" '
            f'src="{svg.png(picture.contiguous().numpy())}"/>'
            for word, picture in drawn.items()
        )
        cards.append(f'<div style="grid-column: 1 / -1">{pictures}<p>{html.escape(", ".join(drawn))}</p></div>')
    legend = [(f"rgb({red} {green} {blue})", name) for (red, green, blue), name in zip(palette(len(names)), names, strict=True)]
    return [Section("Maps", [Figure(cards, CAPTION.format(" then ".join(side.label for side in sides)), legend, "images")])]
