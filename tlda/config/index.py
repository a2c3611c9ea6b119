"""The classes of tlda and their options, read from its source. A name is found in half a second, without importing a module."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Source:
    """A class as its source describes it.

    Attributes:
        name: its name.
        module: where it is defined.
        bases: the module, or the package, and the name of each class that it derives from, as far as they are tlda's.
        doc: its docstring, cleaned.
        arguments: the names of its constructor's arguments; None where it has none of its own.
        hands_on: whether its constructor passes further options to its base class.
        methods: the names that it defines; the value is whether a subclass must define the name.
        texts: the class attributes that are a text, by name.
    """

    name: str
    module: str
    bases: tuple[tuple[str, str], ...]
    doc: str
    arguments: frozenset[str] | None = field(compare=False)
    hands_on: bool
    methods: dict[str, bool] = field(compare=False)
    texts: dict[str, str] = field(compare=False)


@functools.cache
def classes() -> tuple[Source, ...]:
    """All classes of tlda's modules; what an installed package carries in ``shipped`` is no module of it."""
    modules = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] != "shipped"]
    return tuple(found for path in modules for found in _classes_of(path))


def _classes_of(path: Path) -> Iterator[Source]:
    text = path.read_text(encoding="utf-8")
    if "class " not in text:
        return
    tree = ast.parse(text)
    module = ".".join(("tlda", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in tree.body  # where the bases of classes come from
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield _class_of(node, module, imported)


def _class_of(node: ast.ClassDef, module: str, imported: dict[str, tuple[str, str]]) -> Source:
    functions = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    arguments, init = None, functions.get("__init__")
    if init is not None:
        args = [*init.args.posonlyargs, *init.args.args, *init.args.kwonlyargs]
        arguments = frozenset(arg.arg for arg in args) - {"self"}
    return Source(
        node.name,
        module,
        tuple(_base(base, module, imported) for base in node.bases),
        inspect.cleandoc(ast.get_docstring(node) or ""),
        arguments,
        init is None or init.args.kwarg is not None,
        {name: _is_abstract(item) for name, item in functions.items()},
        dict(_texts(node)),
    )


def _texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.value, ast.Constant) and isinstance(item.value.value, str):
            yield ast.unparse(item.target), item.value.value


def _is_abstract(function: ast.FunctionDef) -> bool:
    return any("abstractmethod" in ast.unparse(decorator) for decorator in function.decorator_list)


def _base(base: ast.expr, module: str, imported: dict[str, tuple[str, str]]) -> tuple[str, str]:
    if isinstance(base, ast.Subscript):
        base = base.value
    if isinstance(base, ast.Attribute):
        package, name = imported.get(ast.unparse(base.value), (ast.unparse(base.value), ""))
        return f"{package}.{name}".strip("."), base.attr
    name = ast.unparse(base)
    return imported.get(name, (module, name))


@functools.cache
def parents(cls: Source) -> tuple[Source, ...]:
    """``cls`` and its base classes, the nearest first."""
    found = [cls]
    for module, name in cls.bases:
        for other in classes():
            if other.name == name and f"{other.module}.".startswith(f"{module}.") and other != cls:
                found += [parent for parent in parents(other) if parent not in found]
                break
    return tuple(found)


@functools.cache
def subclasses(base: str) -> dict[str, Source]:
    """The subclasses of ``base`` that can be instantiated, by name."""
    below = [cls for cls in classes() if _is_below(cls, base) and not cls.name.startswith("_")]
    return {cls.name: cls for cls in below if not missing(cls) and not doc(cls).startswith("The base of ")}


def _is_below(cls: Source, base: str) -> bool:
    return base in (parent.name for parent in parents(cls)[1:])


def missing(cls: Source) -> list[str]:
    """The methods that a subclass of ``cls`` has to define."""
    first: dict[str, bool] = {}
    for parent in parents(cls):
        first = {**parent.methods, **first}
    return [name for name, abstract in first.items() if abstract]


def options(cls: Source) -> set[str]:
    """The options of ``cls``, those that it passes to its base class included."""
    found: set[str] = set()
    for parent in parents(cls):
        if parent.arguments is not None:
            found |= parent.arguments
            if not parent.hands_on:
                break
    return found


def doc(cls: Source) -> str:
    """The docstring of ``cls``, or of the nearest parent that has one."""
    return next((parent.doc for parent in parents(cls) if parent.doc), "")


def setting(cls: Source) -> str:
    """The ``setting`` of the method ``cls``, or of the nearest parent that has one; empty where ``cls`` is no method."""
    return next((parent.texts["setting"] for parent in parents(cls) if "setting" in parent.texts), "")


@functools.cache
def trainer_options() -> dict[str, str]:
    """The options of Lightning's trainer, each with its description."""
    spec = importlib.util.find_spec("pytorch_lightning")
    if spec is None or spec.origin is None:
        return {}
    tree = ast.parse((Path(spec.origin).parent / "trainer" / "trainer.py").read_text(encoding="utf-8"))
    trainer = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Trainer")
    init = next(node for node in trainer.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    said = _said(ast.get_docstring(init) or "")
    return {arg.arg: said.get(arg.arg, "") for arg in init.args.kwonlyargs + init.args.args if arg.arg != "self"}


def _said(docstring: str) -> dict[str, str]:
    """The descriptions of the arguments in the ``Args:`` of a docstring, one line each."""
    found: dict[str, str] = {}
    lines = inspect.cleandoc(docstring).partition("Args:\n")[2].splitlines()
    name = ""
    for line in lines:
        if line and not line.startswith(" "):
            break
        if line.startswith("    ") and line[4:5].strip():
            name, _, said = line.strip().partition(": ")
            found[name] = said
        elif name:
            found[name] += f" {line.strip()}" if line.strip() else ""
    return found
