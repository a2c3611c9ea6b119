"""The API reference: one page per public part of the package, which mkdocstrings fills from the docstrings."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from griffe import Extension

from generator.markup import markdown

PARTS = {
    "tlda": "From Python",
    "tlda.method": "Method",
    "tlda.batch": "Batches",
    "tlda.network": "Network",
    "tlda.backbones": "Backbones",
    "tlda.losses": "Losses",
    "tlda.metrics": "Metrics",
    "tlda.tasks": "Tasks",
    "tlda.data": "Data",
    "tlda.finetuning": "Fine-tuning",
    "tlda.optim": "Optimizers and schedules",
    "tlda.errors": "Errors",
}
"""The public parts, by module, and the titles of their pages."""


class PlainDocstrings(Extension):
    """Docstrings as Markdown: Sphinx's roles as code, equations as MathML."""

    def on_object(self, *, obj: Any, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, a class, a function or an attribute when it has been read."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value).replace("Example:\n", "Examples:\n")


def public(module: str) -> list[str]:
    """The full names, where they are defined, of what a module offers: its ``__all__``, else the classes and functions of its own."""
    there = import_module(module)
    names = getattr(there, "__all__", None) or [
        n for n, v in vars(there).items() if not n.startswith("_") and getattr(v, "__module__", "") == module
    ]
    things = {name: getattr(there, name) for name in names if not name.startswith("_")}
    kinds = (inspect.isfunction,) if module == "tlda" else (inspect.isclass, inspect.isfunction)  # its classes are those of other parts
    return [f"{thing.__module__}.{thing.__qualname__}" for thing in things.values() if any(is_kind(thing) for is_kind in kinds)]


def page(module: str) -> str:
    """The page of a module."""
    said = markdown(inspect.getdoc(import_module(module)) or "")
    own = [name for name in public(module) if name.rpartition(".")[0] not in PARTS.keys() - {module}]  # what two parts offer is on one page
    return f"# {PARTS[module]}\n\n`{module}`: {said}\n\n" + "\n\n".join(f"::: {name}" for name in own) + "\n"


def uri(module: str) -> str:
    """The address of a module's page among the sources."""
    return f"reference/{module.rpartition('.')[2]}.md"
