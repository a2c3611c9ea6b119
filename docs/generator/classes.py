"""One page per loss, data set and task, and what the pages of methods share with them, from docstrings."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import tlda.data
import tlda.losses
import tlda.methods
import tlda.rl
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

SYMBOLS = "*f*: features of *n* source rows, (n, d); *g*: of *m* target rows; *p*: predictions over *c* classes; *o*: logits; *y*: labels."
"""Below the equations of a page."""


def of_kind(kind: str) -> dict[str, Any]:
    """Every method, loss, data set or task of the package by its name."""
    return {name: cls for name, cls in sorted(subclasses(BASES[kind]).items()) if cls.__module__.startswith((f"tlda.{kind}.", "tlda.rl."))}


def page(cls: type, base: type, *more: str) -> str:
    """The page of a class: what it is, its equation, its options, what ``more`` says, and where its code is."""
    head = f"# {cls.__name__}\n\n{first(cls)}\n\n{prose(cls)}\n\n"
    shown = "\n\n".join(f"`tlda.losses.{name}`:\n\n" * bool(name) + mathml(latex) for latex, name in all_equations(cls).items())
    shown += f"\n\n{SYMBOLS}" * bool(shown)
    given = grid(
        ["option", "default", "what it is"], [[f"`{name}`", default(value), said] for name, value, said in describe.options(cls, base)]
    )
    file = Path(inspect.getfile(cls)).resolve().relative_to(ROOT).as_posix()
    code = f"`{cls.__module__}.{cls.__name__}`, in [{file}](../../{file})"
    return head + section("Equation", shown) + section("Options", given) + "".join(more) + section("Code", code)


def default(value: object) -> str:
    """The default of an option as it is shown."""
    return "*required*" if value == "required" else f"`{value}`"


def parts(cls: type) -> list[Any]:
    """The losses and functions of losses that the code of a method, a loss or their bases names, or else that their modules import."""
    bases = [part for part in cls.__mro__ if part.__module__.startswith(("tlda.methods", "tlda.losses", "tlda.rl")) and part is not Loss]
    named = [thing for part in bases for thing in imported(part) if thing.__name__ in called(part)]
    return [thing for thing in named or [thing for part in bases for thing in imported(part)] if thing not in (Loss, cls)]


def imported(cls: type) -> list[Any]:
    """What the module of a class may name of :mod:`tlda.losses`, by name or through the package."""
    there = vars(sys.modules[cls.__module__]).values()
    everything = [getattr(tlda.losses, name) for name in tlda.losses.__all__]
    through = tlda.losses in there
    return [thing for thing in everything if thing in there or (through and thing.__name__ in called(cls))]


def called(cls: type) -> set[str]:
    """The names in the code of a class: in its functions and properties, and in what is nested in them."""
    codes = [f.__code__ for v in vars(cls).values() if isinstance(f := getattr(v, "fget", v), FunctionType)]
    for code in codes:  # grows by what is nested
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return {name for code in codes for name in code.co_names}


def made_of(cls: type) -> Iterator[FunctionType]:
    """The functions of losses that a method or a loss comes to; where a loss calls none by name, those of its module."""
    found = parts(cls)
    yield from (thing for thing in found if isinstance(thing, FunctionType))
    for loss in found:
        yield from made_of(loss) if inspect.isclass(loss) and issubclass(loss, Loss) else ()
    if issubclass(cls, Loss) and not found:
        there = vars(sys.modules[cls.__module__])
        yield from (f for name, f in there.items() if isinstance(f, FunctionType) and name in tlda.losses.__all__)


def all_equations(cls: type) -> dict[str, str]:
    """The equations of ``cls``, and those of the losses that it is made of, each with the name of its function."""
    own = dict.fromkeys(equations(vars(cls).get("__doc__") or ""), "")
    return own | {latex: function.__name__ for function in made_of(cls) for latex in equations(inspect.getdoc(function) or "")}


def loss_page(cls: Any) -> str:
    """The page of a loss."""
    used = [f"[{name}](../methods/{name}.md)" for name, method in of_kind("methods").items() if cls in parts(method)]
    facts = [words for name, words in LOSS_FACTS.items() if getattr(cls, name)]
    said = [f"- Under any method: `--model.plus+={cls.__name__}`"]
    said += [f"- It {', '.join(facts)}."] if facts else []
    said += [f"- Methods: {', '.join(used)}"] if used else []
    beside = "\n".join(f"- `tlda.losses.{f.__name__}`: {first(f)}" for f in dict.fromkeys(made_of(cls)))
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
