"""Colours of classes, as far apart as their number allows."""

from __future__ import annotations

import colorsys


def palette(count: int) -> list[tuple[int, int, int]]:
    """A colour per class, red, green and blue in 0..255."""
    hues = ((number * 0.618034) % 1 for number in range(count))  # neighbours in number are far apart in hue
    colours = (colorsys.hsv_to_rgb(hue, (0.9, 0.6)[number % 2], (0.9, 0.7, 0.5)[number % 3]) for number, hue in enumerate(hues))
    return [(round(255 * red), round(255 * green), round(255 * blue)) for red, green, blue in colours]
