"""Pages and places that come from the repository's own documents: contributing, changes, glossary, how to cite, measurements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from generator.tables import ROOT


def read(path: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def marked(path: str, mark: str) -> str:
    """What stands between ``<!-- mark -->`` and ``<!-- end -->`` of a document."""
    match = re.search(rf"<!-- {re.escape(mark)} -->\n(.*?)<!-- end -->", read(path), re.DOTALL)
    if match is None:
        raise ValueError(f"{path} has no place marked '{mark}'")
    return match[1].strip()


def chapter(path: str, title: str) -> str:
    """The section ``## title`` of a document, without its heading."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", read(path), re.DOTALL | re.MULTILINE)
    if match is None:
        raise ValueError(f"{path} has no section '{title}'")
    return match[1].strip()


def about() -> Iterator[tuple[str, str, str]]:
    """Address, text and origin of the pages about the project."""
    yield "glossary.md", f"# Glossary\n\n{chapter('CONTRIBUTING.md', 'Glossary')}\n", "CONTRIBUTING.md"
    yield "cite.md", cite(yaml.safe_load(read("CITATION.cff"))), "docs/cite.md"
    yield "contributing.md", read("CONTRIBUTING.md"), "CONTRIBUTING.md"
    yield "changelog.md", read("CHANGELOG.md"), "CHANGELOG.md"


def cite(citation: dict[str, Any]) -> str:
    """How to cite, in words and as BibTeX, from the citation file."""
    authors = " and ".join(a.get("name") or f"{a['family-names']}, {a['given-names']}" for a in citation["authors"])
    fields = {"title": citation["title"], "author": authors, "version": citation["version"], "license": citation["license"]}
    lines = "\n".join(f"  {name} = {{{{{value}}}}}," for name, value in fields.items())
    bibtex = f"```bibtex\n@software{{tlda,\n{lines}\n}}\n```"
    own = "A method's own paper stands on [its page](methods.md): cite it too, and say which version of tlda measured your numbers."
    return f"# How to cite\n\n{citation['message']}\n\n{bibtex}\n\n{own}\n"


def measurements() -> list[str]:
    """The measurements beside the tables that have a page in the repository."""
    found = [*ROOT.glob("benchmarks/*/README.md"), *ROOT.glob("benchmarks/speed/*.md"), *ROOT.glob("benchmarks/results/rank/*.md")]
    return [path.relative_to(ROOT).as_posix() for path in sorted(set(found))]


def notebooks() -> list[str]:
    """The notebooks of the examples."""
    return [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("examples/*.ipynb"))]


def notebook(path: str) -> str:
    """A notebook as a page: its texts, and its code as blocks."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(read(path))["cells"]]
    blocks = [f"```python\n{text}\n```" if kind == "code" else text for kind, text in cells]
    blocks.insert(1, f"This notebook is `{path}` in the repository.")
    return "\n\n".join(blocks) + "\n"
