"""From docstrings to Markdown, and from equations to MathML."""

from __future__ import annotations

import html
import inspect
import re
import textwrap
from collections.abc import Iterator

from docstring_parser import parse

MATH = re.compile(r"^([ \t]*)\.\. math::[ \t]*(.*(?:\n(?:\1[ \t]+\S.*|[ \t]*(?=\n\1[ \t]+\S)))*)", re.MULTILINE)
"""A directive ``.. math::`` with its LaTeX, on the same line or indented below."""


def mathml(latex: str) -> str:
    """An equation as a block of MathML, which browsers show without a script; its LaTeX is the text for those who do not see it."""
    from latex2mathml.converter import convert  # the one package that only the site needs

    return f'<div class="equation" role="math" aria-label="{html.escape(latex)}">{convert(latex, display="block")}</div>'


def equations(doc: str) -> Iterator[str]:
    """The LaTeX of each ``.. math::`` of a docstring."""
    for match in MATH.finditer(doc):
        yield " ".join(textwrap.dedent(match[2]).split())


def markdown(doc: str) -> str:
    """A docstring's text as Markdown: its roles and literals as code, its equations as MathML."""
    text = MATH.sub(lambda match: f"{match[1]}{mathml(' '.join(match[2].split()))}", doc)
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return re.sub(r"``([^`]*)``", r"`\1`", text)


def prose(cls: object) -> str:
    """The paragraphs of a docstring after its first one, without equations, and without the sections of arguments, errors and examples."""
    parsed = parse(inspect.getdoc(cls) or "")
    return markdown(MATH.sub("", parsed.long_description or "")).strip()


def grid(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; nothing where there are no rows."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *cells]) + "\n" if rows else ""


def section(title: str, body: str) -> str:
    """A heading and what is below it; nothing where that is nothing."""
    return f"## {title}\n\n{body.strip()}\n\n" if body.strip() else ""
