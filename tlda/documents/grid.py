"""A document of paragraphs and grids, as markdown, LaTeX and HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grid:
    """Text in rows under a header; ``bold`` holds the (row, column) of what is best."""

    header: list[str]
    rows: list[list[str]]
    bold: set[tuple[int, int]] = field(default_factory=set)
    name: str = ""

    def marked(self, row: int, column: int, text: str, mark: str) -> str:
        """``text`` within ``mark``, which has a place for it, where it is best."""
        return mark.format(text) if (row, column) in self.bold else text


Document = Sequence[str | Grid]
"""Paragraphs and grids; the first is the title."""

LATIN = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
"""Greek letters that LaTeX has no command for: they look like these."""

NAMES = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"
"""The names of Greek letters in their order, but for omicron."""

GREEK = {
    capital: rf"\{name[0].upper() if capital.isupper() else name[0]}{name[1:]}"
    for small, name in zip(
        "αβγδεζηθικλμνξπρστυφχψω",
        NAMES.split(),
        strict=True,
    )
    for capital in (small, small.upper())
    if capital not in LATIN
}
"""The commands of the other Greek letters in LaTeX's mathematics."""

LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "▼": r"$\downarrow$",
    "–": "--",
    "—": "---",
    "†": r"$\dagger$",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "−": r"$-$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "′": r"$'$",
    **LATIN,
    **{letter: f"${command}$" for letter, command in GREEK.items()},
}
"""What LaTeX wants for a character."""


def markdown(document: Document) -> str:
    """The document for people and for README files."""
    lines = [f"# {one_line(str(document[0]))}"]
    for block in document[1:]:
        lines += ["", *(_markdown_grid(block) if isinstance(block, Grid) else [block])]
    return "\n".join([*lines, ""])


def one_line(text: str) -> str:
    """``text`` without line breaks, which would end a row, a heading or a comment."""
    return " ".join(text.split())


def _cell(text: str) -> str:
    """``text`` in a cell of a table in markdown."""
    return one_line(text).replace("|", r"\|")


def _markdown_grid(grid: Grid) -> list[str]:
    lines = [f"| {' | '.join(map(_cell, grid.header))} |", "|---" * len(grid.header) + "|"]
    for i, row in enumerate(grid.rows):
        lines.append(f"| {' | '.join(grid.marked(i, j, _cell(text), '**{}**') for j, text in enumerate(row))} |")
    return lines


def latex(document: Document) -> str:
    """The document's grids as tables of the package booktabs, its paragraphs as comments."""
    lines = [r"% needs \usepackage{booktabs}"]
    for block in document:
        lines += ["", *(_latex_grid(block) if isinstance(block, Grid) else [f"% {one_line(block)}"])]
    return "\n".join([*lines, ""])


def _latex_grid(grid: Grid) -> list[str]:
    rows = [
        " & ".join(grid.marked(i, j, _latex(text), r"\textbf{{{}}}") for j, text in enumerate(row)) + r" \\"
        for i, row in enumerate(grid.rows)
    ]
    head = [rf"\begin{{tabular}}{{l{'c' * (len(grid.header) - 1)}}}", r"\toprule", " & ".join(map(_latex, grid.header)) + r" \\"]
    return [*head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in one_line(text))


STYLE = """:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6edf3); --line: light-dark(#d0d7de, #3d444d) }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: var(--ink) }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .3rem .8rem; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line) }"""
"""The look of a page, light or dark as the reader has it."""


def page(document: Document) -> str:
    """The document as one page that needs no other file."""
    title = str(document[0])
    return whole_page(title, "\n".join([f"<h1>{html.escape(title)}</h1>", *map(block_html, document[1:])]), STYLE)


def whole_page(title: str, body: str, style: str) -> str:
    """A page of HTML around its ``body``."""
    meta = '<meta charset="utf-8"/>\n<meta name="viewport" content="width=device-width"/>'
    head = f"{meta}\n<title>{html.escape(title)}</title>\n<style>{style}</style>"
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'


def block_html(block: str | Grid) -> str:
    """A paragraph or a grid as HTML."""
    if isinstance(block, str):
        return f"<p>{html.escape(block)}</p>"
    head = "".join(f"<th>{html.escape(text)}</th>" for text in block.header)
    rows = [
        "".join(f"<td>{block.marked(i, j, html.escape(text), '<b>{}</b>')}</td>" for j, text in enumerate(row))
        for i, row in enumerate(block.rows)
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
