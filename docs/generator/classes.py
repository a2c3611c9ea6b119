"""One page per loss, data set and task, and what the pages of methods share with them, from docstrings."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import tlda.data
import tlda.losses
import tlda.methods
import tlda.tasks
from generator.markup import equations, grid, markdown, mathml, prose, section
from generator.tables import ROOT, data_of, tables
from tlda.data import DomainPair
from tlda.errors import subclasses
from tlda.losses import Loss
from tlda.method import Method
from tlda.tasks import Task

sys.path.insert(0, str(ROOT / "benchmarks/methods"))
import describe  # the page of all methods, docs/methods.md

BASES: dict[str, type] = {"methods": Method, "losses": Loss, "data": DomainPair, "tasks": Task}
"""The base class of each kind that has a folder of pages."""

LOSS_FACTS = {
    "compares_domains": "compares both domains",
    "reads_classes": "reads classes",
    "pairs_rows": "pairs the rows of both domains",
    "trains_on_certainty": "makes the target's predictions certain",
    "sees_target": "looks at the target",
}
"""What a loss declares, in words."""


def of_kind(kind: str) -> dict[str, Any]:
    """Every method, loss, data set or task of the package by its name."""
    return {name: cls for name, cls in sorted(subclasses(BASES[kind]).items()) if cls.__module__.startswith(f"tlda.{kind}.")}


def page(cls: type, base: type, *more: str) -> str:
    """The page of a class: what it is, its equation, its options, what ``more`` says, and where its code is."""
    told = describe.described(cls, [])
    head = f"# {cls.__name__}\n\n{told.idea}" + (f" *{told.paper}*" if told.paper else "") + f"\n\n{prose(cls)}\n\n"
    shown = "\n\n".join(mathml(latex) for latex in dict.fromkeys(all_equations(cls)))
    given = grid(
        ["option", "default", "what it is"], [[f"`{name}`", f"`{value}`", said] for name, value, said in describe.options(cls, base)]
    )
    file = Path(inspect.getfile(cls)).resolve().relative_to(ROOT).as_posix()
    code = f"`{cls.__module__}.{cls.__name__}`, in [{file}](../../{file})"
    return head + section("Equation", shown) + section("Options", given) + "".join(more) + section("Code", code)


def parts(cls: type) -> Iterator[Any]:
    """The losses and the functions of losses that the modules of ``cls`` and of its bases take from :mod:`tlda.losses`."""
    for part in cls.__mro__:
        if part.__module__.startswith(("tlda.methods", "tlda.losses")) and part is not Loss:
            there = vars(sys.modules[part.__module__]).values()
            yield from (thing for thing in there if thing is not Loss and getattr(thing, "__module__", "").startswith("tlda.losses."))


def functions(module: str) -> list[FunctionType]:
    """The public functions that a module of losses defines."""
    there = vars(sys.modules[module]).items()
    return [f for name, f in there if isinstance(f, FunctionType) and f.__module__ == module and name in tlda.losses.__all__]


def all_equations(cls: type) -> Iterator[str]:
    """The equations of the docstring of ``cls``, else those of the losses that it is made of."""
    own = list(equations(inspect.getdoc(cls) or ""))
    yield from own
    for thing in () if own else parts(cls):
        for function in functions(thing.__module__) if inspect.isclass(thing) else [thing]:
            yield from equations(inspect.getdoc(function) or "")


def loss_page(cls: Any) -> str:
    """The page of a loss."""
    used = [f"[{name}](../methods/{name}.md)" for name, method in of_kind("methods").items() if cls in parts(method)]
    facts = [words for name, words in LOSS_FACTS.items() if getattr(cls, name)]
    said = [f"- Under any method: `--model.plus+={cls.__name__}`"]
    said += [f"- It {', '.join(facts)}."] if facts else []
    said += [f"- Methods: {', '.join(used)}"] if used else []
    beside = "\n".join(f"- `tlda.losses.{f.__name__}`: {first(f)}" for f in functions(cls.__module__))
    return page(cls, Loss, section("Use", "\n".join(said)), section("Functions", beside))


def first(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return markdown(" ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()))


def data_page(cls: Any) -> str:
    """The page of a data set."""
    used = [
        f"- [{table.title}](../../benchmarks/results/{name}/table.md)" for name, table in tables().items() if cls.__name__ in data_of(table)
    ]
    shared = "- Options of all data, such as `batch_size`, `augment` and `shots`: [DomainPair](../reference/data.md)"
    return page(
        cls, DomainPair, section("Use", f"- On the command line: `--data {cls.__name__}`\n{shared}"), section("Tables", "\n".join(used))
    )


def task_page(cls: Any) -> str:
    """The page of a task."""
    contract = "- Its contract: [Task](../reference/tasks.md), and [how to write one](../guides/own_task.md)"
    return page(cls, Task, section("Use", f"- Headline metric: `{getattr(cls, 'headline', '')}`\n{contract}"))


PAGES: dict[str, Callable[[Any], str]] = {"losses": loss_page, "data": data_page, "tasks": task_page}
