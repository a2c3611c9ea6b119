"""A page that needs no other file: headings, figures with captions, tables, and the verdict at the top."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from tlda.documents.grid import STYLE as GRID_STYLE
from tlda.documents.grid import Grid, block_html, whole_page
from tlda.report.decision import Verdict

BEFORE, AFTER, TRUE = "var(--before)", "var(--after)", "var(--ink)"
"""The colours of the state before, the state after, and the truth."""

SOURCE, TARGET = "var(--source)", "var(--target)"
"""The colours of the domains."""

STYLE = (
    GRID_STYLE
    + """
:root { --paper: light-dark(#ffffff, #0d1117); --soft: light-dark(#f6f8fa, #161b22); --dim: light-dark(#59636e, #9198a1);
  --before: light-dark(#c2570c, #fb923c); --after: light-dark(#2563eb, #6ea8fe); --source: light-dark(#0f766e, #2dd4bf);
  --target: light-dark(#be185d, #f472b6); --good: light-dark(#1a7f37, #3fb950); --bad: light-dark(#cf222e, #ff7b72) }
body { background: var(--paper); overflow-wrap: break-word }
h2 { margin: 2.2rem 0 .6rem; border-top: 1px solid var(--line); padding-top: 1.2rem }
figure { margin: 1rem 0 }
figcaption, .dim { color: var(--dim); font-size: .92em; max-width: 60rem }
.plots { display: grid; gap: .6rem 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)) }
.plots.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)) }
svg { width: 100%; height: auto; display: block; font: 11px system-ui, sans-serif }
svg text { fill: var(--dim) } svg text.title { fill: var(--ink); font-size: 12.5px; font-weight: 600 }
svg text.in { fill: var(--ink) } svg text.on { fill: #fff }
.grid, .frame { stroke: var(--line); stroke-width: 1; fill: none } .diagonal { stroke: var(--dim); stroke-dasharray: 4 4 }
.line { stroke: var(--c); stroke-width: 2; fill: none; stroke-linejoin: round } .dot { fill: var(--c); stroke: var(--paper) }
.faint { stroke-opacity: .45 } .join { stroke: var(--line); stroke-width: 3 } .points circle { fill: var(--c); fill-opacity: .75 }
.points path { stroke: var(--c); stroke-width: 1.2; fill: none } .pixels { image-rendering: pixelated }
.verdict { border-left: 6px solid var(--edge); background: var(--soft); padding: .8rem 1.2rem; border-radius: 6px; margin: 1rem 0 }
.verdict.yes { --edge: var(--good) } .verdict.no { --edge: var(--bad) } .verdict.cannot { --edge: var(--before) }
.verdict p { margin: .4rem 0 } .answer { font-size: 1.35rem } .alarm { color: var(--bad); font-weight: 600 }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem }
.tile { background: var(--soft); border-radius: 6px; padding: .6rem 1rem; flex: 1 1 10rem }
.tile b { display: block; font-size: 1.25rem; white-space: nowrap } .tile span { color: var(--dim); font-size: .88em }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: .4rem 0; font-size: .92em }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%; background: var(--c); margin-right: .4em }
.images { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
.images img { width: 31%; margin-right: 2%; image-rendering: pixelated; border-radius: 3px } .images p { margin: .2rem 0; font-size: .88em }
.texts { display: grid; gap: .8rem; max-width: 60rem } .texts p { margin: .2rem 0 } .texts span { border-radius: 3px; padding: 0 .1em }
.texts p:last-child { color: var(--dim); font-size: .88em }
@media (max-width: 40rem) { th, td { white-space: normal; padding: .3rem .5rem } }
code { background: var(--soft); padding: .1em .3em; border-radius: 4px; overflow-wrap: anywhere }"""
)
"""The styles of the page, in addition to those of tables."""


class Figure(NamedTuple):
    """Plots with a caption that says what to look at, and a legend of (colour, label)."""

    plots: Sequence[str]
    caption: str
    legend: Sequence[tuple[str, str]] = ()
    kind: str = "plots"

    def html(self) -> str:
        """The figure as HTML."""
        keys = "".join(f'<span><i style="--c:{colour}"></i>{html.escape(label)}</span>' for colour, label in self.legend)
        legend = f'<div class="legend">{keys}</div>' if keys else ""
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>"
        return f'<figure>{legend}<div class="{self.kind}">{"".join(self.plots)}</div>\n{caption}</figure>'


class Tile(NamedTuple):
    """A number at the top, with its name."""

    value: str
    label: str


Block = str | Grid | Figure
"""A paragraph, a table or a figure."""


class Section(NamedTuple):
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


class Report(NamedTuple):
    """The contents of a page, in order."""

    title: str
    about: str
    verdict: Verdict
    tiles: Sequence[Tile]
    sections: Sequence[Section]


def page(report: Report) -> str:
    """The report as one HTML page, light or dark as the reader has it."""
    tiles = "".join(f'<div class="tile"><b>{html.escape(t.value)}</b><span>{html.escape(t.label)}</span></div>' for t in report.tiles)
    parts = [
        f"<h1>{html.escape(report.title)}</h1>",
        f'<p class="dim">{html.escape(report.about)}</p>',
        _verdict(report.verdict),
        f'<div class="tiles">{tiles}</div>',
    ]
    return whole_page(report.title, "\n".join([*parts, *map(_section, report.sections)]), STYLE)


def _section(section: Section) -> str:
    blocks = "\n".join(block.html() if isinstance(block, Figure) else block_html(block) for block in section.blocks)
    return f"<section>\n<h2>{html.escape(section.title)}</h2>\n{blocks}\n</section>"


def _verdict(verdict: Verdict) -> str:
    reason = html.escape(verdict.because)
    lines = [f'<p class="answer">Should I adapt? <b>{verdict.answer}</b>: {reason}.</p>']
    lines += [f'<p class="alarm">⚠ {html.escape(alarm)}</p>' for alarm in verdict.alarms]
    lines += [f"<p>{html.escape(verdict.oracle)}</p>"] if verdict.oracle else []
    return f'<div class="verdict {verdict.answer.split()[0]}">{"".join(lines)}</div>'
