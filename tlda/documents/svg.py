"""Charts as inline SVG, whose colours are those of the page: light or dark as the reader has it."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

WIDTH, HEIGHT = 320, 190
"""The size of a small chart, in its own units: a page scales it."""

LARGEST = 1.25
"""How many pixels a unit becomes at most, so that letters stay letters."""

LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 24
"""The margins of a small chart."""


class Series(NamedTuple):
    """A line or some dots: its name, its colour (a CSS value), and its points (x, y)."""

    label: str
    colour: str
    points: Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """A range of values, and the pixels that it is shown on."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


def axis(values: Iterable[float], start: float, end: float, pad: float = 0.05) -> Axis:
    """The axis that shows all ``values`` with a little room."""
    found = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(found), max(found)
    room = pad * (high - low) or abs(high) * pad or 0.5
    return Axis(low - room, high + room, start, end)


def whole(values: Iterable[float], start: float, end: float) -> Axis:
    """The axis from the least to the largest of ``values``, to the pixel."""
    found = [*values] or [0.0]
    return Axis(min(found), max(max(found), min(found) + 1e-9), start, end)


def text(x: float, y: float, content: str, anchor: str = "start", attributes: str = "") -> str:
    """A text at a place."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{attributes}>{html.escape(content)}</text>'


def svg(body: Iterable[str], label: str, width: float = WIDTH, height: float = HEIGHT) -> str:
    """A drawing, with a ``label`` for those who do not see it."""
    size = f'viewBox="0 0 {width:g} {height:g}" style="max-width:{LARGEST * width:.0f}px"'
    return f'<svg {size} role="img" aria-label="{html.escape(label)}">{"".join(body)}</svg>'


def png(pixels: np.ndarray[Any, Any]) -> str:
    """Bytes (h, w), (h, w, 3) or (h, w, 4) as the address of a picture that needs no file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return address(buffer.getvalue())


def address(file: bytes) -> str:
    """The address of a PNG ``file``, which a page holds itself."""
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


# Charts


def smooth(points: Sequence[tuple[float, float]], most: int = 150) -> list[tuple[float, float]]:
    """The points, or where there are more than ``most`` of them, the means of equal stretches of the curve."""
    if len(points) <= most:
        return list(points)
    return [(float(part[-1, 0]), float(part[:, 1].mean())) for part in np.array_split(np.array(points), most)]


def curves(title: str, series: Sequence[Series], along: str) -> str:
    """Lines over one axis each way, which ``along`` names below; values that are not finite are left out."""
    series = [s._replace(points=[(x, y) for x, y in s.points if math.isfinite(y)]) for s in series]
    across = whole((x for s in series for x, _ in s.points), LEFT, WIDTH - RIGHT)
    up = axis((y for s in series for _, y in s.points), HEIGHT - BOTTOM, TOP)
    body = [text(LEFT, 14, title, attributes=' class="title"'), *_grid(across, up), text((LEFT + WIDTH) / 2, HEIGHT - 6, along, "middle")]
    for s in series:
        places = [(across(x), up(y)) for x, y in s.points]
        style = f'style="--c:{s.colour}"'
        body.append(f'<polyline class="line" {style} points="{" ".join(f"{x:g},{y:g}" for x, y in places)}"/>')
        if places:
            what = f"{s.label}: {s.points[-1][1]:.4g}"
            body.append(_dot(*places[-1], s.colour, what, 3.5))
    return svg(body, f"{title}: {'; '.join(f'{s.label} ends at {s.points[-1][1]:.4g}' for s in series if s.points)}")


def _grid(across: Axis, up: Axis) -> list[str]:
    """Three lines with their values, and the ends of the axis below."""
    values = [up.low + share * (up.high - up.low) for share in (0.08, 0.5, 0.92)]
    lines = [f'<line class="grid" x1="{across.start:g}" x2="{across.end:g}" y1="{up(v):g}" y2="{up(v):g}"/>' for v in values]
    digits = max(0, min(5, 2 - math.floor(math.log10(max(up.high - up.low, 1e-12)))))
    labels = [text(across.start - 5, up(v) + 4, f"{v:.{digits}f}"[:7], "end") for v in values]
    low, high = ((text(across(v), HEIGHT - 6, f"{v:g}", anchor)) for v, anchor in ((across.low, "start"), (across.high, "end")))
    return [*lines, *labels, low, high]


def rows_of_dots(names: Sequence[str], series: Sequence[Sequence[float]], colours: Sequence[str], labels: Sequence[str]) -> str:
    """A row a name with a dot a series, in percent from 0 to 100 or to the largest; the first two are joined by a line.

    Args:
        names: what stands before each row.
        series: values in percent, one list a series; NaN for none.
        colours: a CSS value a series.
        labels: the name of each series.
    """
    left, step = 14 + 7 * min(22, max(map(len, names))), 20
    largest = max((v for values in series for v in values if math.isfinite(v)), default=0.0)
    across = Axis(0.0, 100.0 if largest > 50 else max(1.0, 1.1 * largest), left, 520 - 20)
    height = step * len(names) + 26
    ticks = [across.high * share for share in (0, 0.25, 0.5, 0.75, 1)]
    body = [f'<line class="grid" x1="{across(v):g}" x2="{across(v):g}" y1="4" y2="{height - 20}"/>' for v in ticks]
    body += [text(across(v), height - 5, f"{v:.0f}" if across.high >= 8 else f"{v:.1f}", "middle") for v in ticks]
    for i, name in enumerate(names):
        y = 14 + step * i
        found = [
            (values[i], colour, label) for values, colour, label in zip(series, colours, labels, strict=True) if math.isfinite(values[i])
        ]
        body.append(text(left - 8, y + 4, name if len(name) <= 22 else f"{name[:21]}…", "end"))
        if len(found) > 1:
            body.append(f'<line class="join" x1="{across(found[0][0]):g}" x2="{across(found[1][0]):g}" y1="{y}" y2="{y}"/>')
        body += [_dot(across(v), y, colour, f"{name}, {label}: {v:.1f} %") for v, colour, label in found]
    return svg(body, f"{', '.join(labels)} by class, in percent", 520, height)


def _dot(x: float, y: float, colour: str, what: str, radius: float = 5) -> str:
    return f'<circle class="dot" style="--c:{colour}" cx="{x:g}" cy="{y:g}" r="{radius:g}"><title>{html.escape(what)}</title></circle>'


def heat(title: str, share: Tensor, names: Sequence[str]) -> str:
    """A matrix of shares in 0..1, (c, c), true class down and predicted class across; numbers in percent where there is room."""
    count, few = len(names), len(names) <= 30
    left, side = (12 + 6.5 * min(12, max(map(len, names))) if few else 20), 300
    cell = side / count
    body = [text(left, 14, title, attributes=' class="title"'), f'<rect class="frame" x="{left:g}" y="24" width="{side}" height="{side}"/>']
    pixels = np.zeros((count, count, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = (37, 99, 235), (255 * share.clamp(0, 1)).round().numpy()
    body.append(
        f'<image class="pixels" href="{png(pixels)}" x="{left:g}" y="24" width="{side}" height="{side}" preserveAspectRatio="none"/>'
    )
    if few:
        size = f' font-size="{min(11.0, max(6.0, cell)):g}"'
        body += [text(left - 4, 24 + cell * (i + 0.5) + 4, _short(name), "end", size) for i, name in enumerate(names)]
        body += [_below(left + cell * (i + 0.5), 24 + side, _short(name), size, max(map(len, names)) > 2) for i, name in enumerate(names)]
    if count <= 15:
        body += [
            _number(left + cell * (j + 0.5), 24 + cell * (i + 0.5) + 4, float(v)) for i, row in enumerate(share) for j, v in enumerate(row)
        ]
    below = 16.0 if not few or max(map(len, names)) <= 2 else 10 + 6.5 * min(12, max(map(len, names)))
    return svg(
        body, f"{title}: confusion matrix, {100 * share.diagonal().nanmean():.1f} % on the diagonal", left + side + 6, 24 + side + below
    )


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"


def _below(x: float, y: float, name: str, size: str, turned: bool) -> str:
    turn = f' transform="rotate(-90 {x:g} {y + 8:g})"' if turned else ""
    return text(x + 4 * turned, y + (8 if turned else 13), name, "end" if turned else "middle", size + turn)


def _number(x: float, y: float, share: float) -> str:
    return text(x, y, f"{100 * share:.0f}", "middle", ' class="on"' if share > 0.55 else ' class="in"') if share >= 0.005 else ""


def scatter(title: str, places: np.ndarray[Any, Any], colours: Sequence[str], crosses: Sequence[bool]) -> str:
    """Points (n, 2) without axes, as dots or as crosses."""
    across, up = axis(places[:, 0], 8, WIDTH - 8), axis(places[:, 1], 292, TOP)
    body = [text(8, 14, title, attributes=' class="title"'), f'<rect class="frame" x="1" y="20" width="{WIDTH - 2}" height="279"/>']
    for (x, y), colour, cross in zip(places, colours, crosses, strict=True):
        a, b = across(float(x)), up(float(y))
        shape = f'<path d="M{a - 2.5:.1f} {b - 2.5:.1f}l5 5m0-5l-5 5"' if cross else f'<circle cx="{a:g}" cy="{b:g}" r="2.4"'
        body.append(f'{shape} style="--c:{colour}"/>')
    return svg([f'<g class="points">{"".join(body[2:])}</g>', *body[:2]], title, WIDTH, 300)


class Bin(NamedTuple):
    """Rows of like confidence: their mean confidence, their accuracy, and their share of all rows."""

    confidence: float
    accuracy: float
    share: float


def reliability(title: str, series: Sequence[tuple[str, str, Sequence[Bin]]]) -> str:
    """Accuracy by confidence of each (label, colour, bins) beside the diagonal; a dot's area is its share of the rows."""
    side, top = 232, 44
    across, up = Axis(0, 1, LEFT, LEFT + side), Axis(0, 1, top + side, top)
    body = [text(4, 14, title, attributes=' class="title"'), f'<rect class="frame" x="{LEFT}" y="{top}" width="{side}" height="{side}"/>']
    body.append(f'<line class="diagonal" x1="{across(0):g}" y1="{up(0):g}" x2="{across(1):g}" y2="{up(1):g}"/>')
    body += [text(LEFT - 5, up(v) + 4, f"{v:g}", "end") for v in (0, 0.5, 1)]
    body += [text(across(v), top + side + 14, f"{v:g}", "middle") for v in (0, 0.5, 1)]
    body += [text(LEFT + side / 2, top + side + 28, "confidence", "middle"), text(LEFT - 30, top - 10, "accuracy")]
    for label, colour, bins in series:
        line = " ".join(f"{across(b.confidence):g},{up(b.accuracy):g}" for b in bins)
        body.append(f'<polyline class="line faint" style="--c:{colour}" points="{line}"/>')
        for b in bins:
            what = f"{label}: confidence {b.confidence:.2f}, accuracy {b.accuracy:.2f}, {100 * b.share:.1f} % of the rows"
            body.append(_dot(across(b.confidence), up(b.accuracy), colour, what, 2.5 + 10 * math.sqrt(b.share)))
    return svg(body, title, WIDTH, top + side + 34)
