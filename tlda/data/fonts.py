"""Digits rendered from the TrueType fonts that ship with matplotlib: a labelled source with nothing to download."""

from __future__ import annotations

import importlib.util
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlda.data.arrays import Images, Splits
from tlda.data.cache import cached

FACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmb10", "cmmi10", "cmr10", "cmss10", "cmtt10",
)  # fmt: skip
"""The fonts whose digits are digits, in every version allowed; matplotlib's others hold symbols in their place, or nothing."""

EM, CANVAS, SIZE = 64, 128, 28


def fonts() -> Splits:
    """8,000 training and 2,000 test images, 28 x 28, white on black like MNIST, the same at every call."""
    # What decides the pixels besides this file; change the leading number with the recipe.
    recipe = f"fonts-2-matplotlib-{version('matplotlib')}-pillow-{version('pillow')}"
    return cached(recipe, lambda: Splits(render(8000, seed=0), render(2000, seed=1)))


def render(count: int, seed: int) -> Images:
    """``count`` digits (count, 1, 28, 28), the classes in equal parts and in random order; a function of ``seed``."""
    random = np.random.default_rng(seed)
    labels = random.permutation(count) % 10
    images = np.stack([_draw(int(label), random) for label in labels])
    return Images(torch.from_numpy(images)[:, None], torch.from_numpy(labels))


def _draw(digit: int, random: np.random.Generator) -> Any:
    """One digit, sheared and rotated, in a box of about 20 pixels near the middle: MNIST's own layout."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (CANVAS, CANVAS))
    font, stroke = _font(FACES[random.integers(len(FACES))]), int(random.integers(5))
    ImageDraw.Draw(canvas).text((CANVAS // 2, CANVAS // 2), str(digit), fill=255, font=font, anchor="mm", stroke_width=stroke)
    turned = canvas.transform(canvas.size, Image.Transform.AFFINE, _affine(random), Image.Resampling.BILINEAR)
    glyph = turned.crop(turned.getbbox())
    scale = random.uniform(17, 22) / max(glyph.size)
    glyph = glyph.resize((max(2, round(scale * glyph.width)), max(2, round(scale * glyph.height))), Image.Resampling.LANCZOS)
    image = Image.new("L", (SIZE, SIZE))
    shift = random.integers(-2, 3, 2)
    image.paste(glyph, ((SIZE - glyph.width) // 2 + int(shift[0]), (SIZE - glyph.height) // 2 + int(shift[1])))
    return np.asarray(image)


def _affine(random: np.random.Generator) -> tuple[float, ...]:
    """A rotation of up to 15 degrees after a shear of up to 0.3, about the middle, as the six numbers that PIL takes."""
    angle, shear = np.deg2rad(random.uniform(-15, 15)), random.uniform(-0.3, 0.3)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ np.array([[1, shear], [0, 1]])
    middle = np.full(2, CANVAS / 2)
    rows = np.column_stack((matrix, middle - matrix @ middle))
    return tuple(rows.flatten().tolist())


@cache
def _font(face: str) -> Any:
    from PIL import ImageFont

    # Found without importing matplotlib, which takes longer than drawing a thousand digits.
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None
    assert spec.origin is not None
    return ImageFont.truetype(str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{face}.ttf"), EM)
