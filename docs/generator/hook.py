"""What ``mkdocs`` calls while it builds the site: pages, figures, places of other documents, and links to files of the repository."""

from __future__ import annotations

import re
import sys
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from generator import classes, documents, figures, methods, reference, tables

ROOT = tables.ROOT
MADE: dict[str, tuple[str, str]] = {}
"""The pages that are made, by their address: the text, and the file of the repository that its links start from."""

PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "CITATION.cff": "cite.md"}
"""The pages that files of the repository's root are."""

LINK = re.compile(r"```.*?```|`[^`\n]*`|\]\(([^)#\s:]+)(#[^)\s]*)?\)", re.DOTALL)
"""Code, or the end of a link within the repository: its path and its anchor."""


def on_config(config: Any) -> Any:
    """Make all pages, and name them in the navigation."""
    MADE.clear()
    sections: dict[str, Any] = {
        "Guides": [f"guides/{path.name}" for path in sorted((ROOT / "docs/guides").glob("*.md"))],
        "Methods": ["methods.md", *({family: [make_method(name) for name in names]} for family, names in methods.families())],
    }
    sections["Guides"] += [copy(path, documents.notebook(path)) for path in documents.notebooks()]
    for kind, title in (("losses", "Losses"), ("data", "Data"), ("tasks", "Tasks")):
        sections[title] = [make(f"{kind}/{name}.md", classes.PAGES[kind](cls)) for name, cls in classes.of_kind(kind).items()]
    sections["Tables"] = ["photographs.md", *(copy(tables.path(name), tables.page(name)) for name in tables.tables())]
    sections["Tables"] += [{"Measurements": [copy(path, documents.read(path)) for path in documents.measurements()]}]
    sections["API"] = [make(reference.uri(module), reference.page(module)) for module in reference.PARTS]
    sections["About"] = [make(uri, text, origin) for uri, text, origin in documents.about()]
    config.nav += [{title: body} for title, body in sections.items()]
    return config


def make(uri: str, text: str, origin: str = "") -> str:
    """Keep a page that is made, whose links start from ``origin``; returns its address."""
    MADE[uri] = text, origin or f"docs/{uri}"
    return uri


def copy(path: str, text: str) -> str:
    """Keep the page of a file of the repository; returns its address."""
    return make(address(path), text, path)


def make_method(name: str) -> str:
    """Keep the page of a method; returns its address."""
    return make(f"methods/{name}.md", methods.method_page(name))


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made to those of the folder."""
    for uri, (text, _) in MADE.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Fill in figures and the marked places of other documents, and point links to the site's pages and to copies of files."""
    text = re.sub(r"<!-- figure (\w+) -->", lambda match: figures.figure(match[1]), markdown)
    text = re.sub(r"<!-- from (\S+) (.+?) -->", lambda match: documents.marked(match[1], match[2]), text)
    uri = page.file.src_uri
    origin = MADE[uri][1] if uri in MADE else f"docs/{uri}"

    def link(match: re.Match[str]) -> str:
        if match[1] is None:  # code, which stays as it is
            return match[0]
        path = normpath(PurePosixPath(origin).parent / match[1])
        there = address(path)
        if there.startswith("files/") and (ROOT / path).is_file() and not files.get_file_from_path(there):
            files.append(File.generated(config, there, abs_src_path=str(ROOT / path)))
        return f"]({relpath(there, PurePosixPath(uri).parent)}{match[2] or ''})"

    return LINK.sub(link, text)


def address(path: str) -> str:
    """The address on the site of a file of the repository: a page, or a copy below ``files``."""
    if path in PAGES or path.startswith("docs/"):
        return PAGES.get(path) or path.removeprefix("docs/")
    if match := re.fullmatch(r"benchmarks/results/(\w+)/table\.md", path):
        return f"tables/{match[1]}.md"
    if match := re.fullmatch(r"benchmarks/(?:results/)?(.+?)(?:/README)?\.md", path):
        return f"measurements/{match[1].replace('/', '_')}.md"
    return f"guides/{PurePosixPath(path).stem}.md" if path.endswith(".ipynb") else f"files/{path}"
