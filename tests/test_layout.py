"""Where a thing stands decides what it may import: a file imports from its own folder and from floors below, lazily or not."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tlda"

FLOORS = [
    ["batch", "errors", "documents"],
    ["options"],
    ["inputs", "writing", "optim", "nn"],
    ["backbones", "losses"],
    ["metrics"],
    ["tasks"],
    ["network"],
    ["data"],
    ["finetuning"],
    ["training"],
    ["translation"],
    ["method"],
    ["methods"],
    ["rl"],
    ["config"],
    ["report"],
    ["bench"],
    ["rank"],
    ["commands"],
    ["cli"],
]
"""Ground first. What stands on one floor does not import each other."""

ANYS = 15
"""The bare ``Any`` of public signatures, at most 25: hooks whose overrides name their inputs, and parameters that Lightning leaves open."""

FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def modules() -> Iterator[tuple[Path, str]]:
    """Every file, and the part of the package that it belongs to."""
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part not in ("__init__", "__main__"):
            yield path, part


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """The parts of tlda that a file imports anywhere: at its top, within functions, or for types alone."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "tlda" else [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("tlda."))


def test_a_file_imports_from_floors_below() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path, part in modules()
        for other in imported(path)
        if other in FLOOR and other != part and FLOOR[other] >= FLOOR[part]
    ]
    assert not wrong, "\n".join(wrong)


def test_every_part_has_a_floor() -> None:
    assert {part for _, part in modules()} <= FLOOR.keys()


def test_circles_within_a_part_are_none() -> None:
    graph = {path: {target for target in files_imported(path) if target != path} for path, _ in modules()}
    while leaves := [path for path, targets in graph.items() if not targets & graph.keys()]:
        for path in leaves:
            del graph[path]
    assert not graph, "a circle among " + ", ".join(str(path.relative_to(PACKAGE)) for path in graph)


def files_imported(path: Path) -> Iterator[Path]:
    """The files of tlda that a file imports, a package's own ``__init__`` apart."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "tlda":
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                yield from found(name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from found(alias.name)


def found(name: str) -> Iterator[Path]:
    """The file of a dotted name of tlda's: that of the module, or of what a package takes the name from."""
    parts = name.split(".")[1:]
    for cut in (len(parts), len(parts) - 1):
        path = PACKAGE.joinpath(*parts[:cut])
        if path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")
            return
        if cut < len(parts) and (path / "__init__.py").is_file() and cut:
            yield path / "__init__.py"
            return


def test_a_basename_occurs_once() -> None:
    names: dict[str, list[str]] = {}
    for path, part in modules():
        if path.stem not in ("__init__", "base") and part not in ("methods", "commands"):
            names.setdefault(path.stem, []).append(str(path.relative_to(PACKAGE)))
    assert not {name: paths for name, paths in names.items() if len(paths) > 1}


def test_few_modules_stand_at_the_root() -> None:
    assert len([path for path in PACKAGE.glob("*.py") if path.stem != "__init__"]) <= 8


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    ("files", "budget"),
    [
        ("method.py", 200),
        ("methods/*.py", 60),
        ("methods/few_shot/*.py", 65),
        ("methods/pretraining/*.py", 75),
        ("methods/image_text/*.py", 80),
        ("tasks/*.py", 90),
    ],
)
def test_a_file_is_short(files: str, budget: int) -> None:
    apart = {"__init__.py", "measures.py"}  # a list of names; what every run measures, which is no task
    assert not {path.name: lines_of(path) for path in PACKAGE.glob(files) if path.name not in apart and lines_of(path) > budget}


def test_few_types_are_ignored() -> None:
    ignored = [line for path, _ in modules() for line in path.read_text(encoding="utf-8").splitlines() if "type: ignore" in line]
    assert len(ignored) <= 20, "\n".join(ignored)


def bare_anys(path: Path) -> Iterator[str]:
    """The public functions of a file once for each parameter, or return, that is a bare ``Any`` (``**kwargs`` apart)."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            annotations = [argument.annotation for argument in (*node.args.args, *node.args.kwonlyargs)] + [node.returns]
            yield from (node.name for found in annotations if isinstance(found, ast.Name) and found.id == "Any")


def test_bare_any_does_not_spread() -> None:
    assert sum(len(list(bare_anys(path))) for path, _ in modules()) <= ANYS


@pytest.mark.parametrize("word", ["num_classes", "class_names"])
def test_classes_are_known_in_few_places(word: str) -> None:
    """An argument or a variable of that name stands in at most five files beside tasks and losses."""
    files = [path for path, part in modules() if part not in ("tasks", "losses") and word in path.read_text(encoding="utf-8")]
    assert len(files) <= 5, files
