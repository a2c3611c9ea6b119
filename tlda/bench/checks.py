"""Check the declaration of a table before anything is built from it."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from tlda.errors import UserError, near
from tlda.options.limits import is_finite

MAPPINGS = ("after", "translate", "labels", "notes", "search", "plot")
"""The entries of a declaration that are mappings, beside methods and tasks."""

NAME = re.compile(r"\w[\w.+-]*")
"""The names of methods and tasks: parts of a file's name on every system."""

LONGEST = 150
"""The most bytes of the names of method and task together: a file name has 255, with seed, key and ending."""

SEEDS = range(2**32)
"""The seeds that the random generators take."""


def tuned(method: str) -> str:
    """The name of the row of ``method`` with the values that a search found."""
    return f"{method}_tuned"


def repeated(names: Iterable[str]) -> str | None:
    """The first of ``names`` that occurs twice."""
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def named(path: Path, entry: str, value: dict[Any, Any]) -> dict[str, Any]:
    """The mapping ``value``, the ``entry`` of a declaration, with its names as texts.

    Raises:
        UserError: YAML read a name as something that is neither a text nor a whole number, or two names are one text.
    """
    for name in value:
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise UserError(f"{path}: YAML reads a name under '{entry}' as {name!r}, which is no text: put it in quotes")
    if twice := repeated(map(str, value)):
        raise UserError(f"{path}: '{twice}' occurs twice under '{entry}': each name must be unique")
    return {str(name): item for name, item in value.items()}


def require_entries(path: Path, declared: dict[str, Any]) -> None:
    """Raise :class:`UserError` where an entry of the declaration has the wrong type."""
    kinds = dict.fromkeys(("title", "protocol", "baseline", "select_by", "published", "control"), str) | dict.fromkeys(MAPPINGS, dict)
    for key, value in declared.items():
        if key in kinds and not isinstance(value, kinds[key]):
            raise UserError(f"{path}: '{key}' must be {'a text' if kinds[key] is str else 'a mapping'}, and is {value!r}")
    if not isinstance(declared.get("leave_one_out", False), bool):
        raise UserError(f"{path}: 'leave_one_out' must be true or false, and is {declared['leave_one_out']!r}")
    also = declared.get("also", [])
    if not isinstance(also, list) or not all(isinstance(metric, str) for metric in also):
        raise UserError(f"{path}: 'also' must be a list of metrics, such as [test/target/auc], and is {also!r}")
    require_seeds(path, declared["seeds"])
    methods, tasks = list(declared["methods"]), list(declared["tasks"])
    if (baseline := declared.get("baseline")) and baseline not in methods:
        raise UserError(f"{path}: the baseline '{baseline}' is not one of its methods{near(baseline, methods)}")
    if (control := declared.get("control")) and control not in tasks:
        raise UserError(f"{path}: the control '{control}' is not one of its tasks{near(control, tasks)}")
    if (drawn := declared.get("plot")) and (set(drawn) != {"option", "label"} or not all(isinstance(v, str) for v in drawn.values())):
        raise UserError(
            f"{path}: 'plot' needs an 'option' that the tasks differ by, such as data.init_args.shots, and a 'label' for its axis"
        )
    _require_search(path, declared.get("search", {}), methods)
    _require_names(path, methods, tasks, declared.get("search", {}).get("space", {}))
    _require_metric(path, declared.get("metric"), tasks)
    _require_texts(path, declared, methods, tasks)
    _require_stages(path, declared, methods)


def require_seeds(path: Path, seeds: list[Any]) -> None:
    """Raise :class:`UserError` where ``seeds`` are not whole numbers of their own that a random generator takes."""
    for seed in seeds:
        if type(seed) is not int:
            raise UserError(f"{path}: the seed '{seed}' is not a whole number")
        if seed not in SEEDS:
            raise UserError(f"{path}: the seed {seed} is out of range: seeds are 0 to 4294967295")
    if twice := repeated(map(str, seeds)):
        raise UserError(f"{path}: the seed {twice} occurs twice: each run counts once")


def _require_names(path: Path, methods: list[str], tasks: list[str], space: Collection[str]) -> None:
    """Raise :class:`UserError` where a name cannot be part of a file's, or two cells would share a file."""
    for what, names in (("method", methods), ("task", tasks)):
        for name in names:
            if not NAME.fullmatch(name):
                raise UserError(
                    f"{path}: the {what} '{name}' cannot name a result file: use letters, digits, '_', '.', '+' and '-', a letter first"
                )
    rows = [*methods, *map(tuned, space)]
    if twice := repeated(rows):
        raise UserError(
            f"{path}: the row of the search for '{twice.removesuffix('_tuned')}' is '{twice}', also the name of a method: rename that"
        )
    files: dict[str, tuple[str, str]] = {}
    for method, task in itertools.product(rows, tasks):
        if len(f"{method}{task}".encode()) > LONGEST:
            raise UserError(f"{path}: the names '{method}' and '{task}' are too long for a file: shorten them to {LONGEST} bytes together")
        # As file systems compare that ignore case, or how an accent is written.
        other = files.setdefault(unicodedata.normalize("NFC", f"{method}-{task}").casefold(), (method, task))
        if other != (method, task):
            raise UserError(
                f"{path}: '{other[0]}' on '{other[1]}' and '{method}' on '{task}' would share the result files {method}-{task}: rename one"
            )


def _require_texts(path: Path, declared: dict[str, Any], methods: list[str], tasks: list[str]) -> None:
    """Raise :class:`UserError` where a label or a note is not a text or names nothing in the table, or two labels are equal."""
    labels, notes = (declared.get(key, {}) for key in ("labels", "notes"))
    for name, text in (*labels.items(), *notes.items()):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{path}: the label or note of '{name}' must be a text, and is {text!r}; one with a comma needs quotes")
    rows = [*methods, *map(tuned, declared.get("search", {}).get("space", {}))]
    for what, kinds, texts, names in (("note", "", notes, rows), ("label", " or tasks", labels, [*rows, *tasks, "average"])):
        for name in texts:
            if name not in names:
                raise UserError(f"{path}: there is a {what} on '{name}', which is not one of its methods{kinds}{near(name, names)}")
    for what, own in (("methods", methods), ("tasks", [*tasks, "average"])):
        if twice := repeated(" ".join(labels.get(name, name).split()) for name in own):
            raise UserError(f"{path}: two {what} have the label '{twice}': each needs one of its own")


def _require_search(path: Path, search: dict[str, Any], methods: list[str]) -> None:
    """Raise :class:`UserError` where a search has no space, an invalid space, or one for a method that is not in the table."""
    if not search:
        return
    for entry in search:
        if entry not in (known := ("validator", "seeds", "space", "draw")):
            raise UserError(f"{path}: the search has an unknown entry '{entry}'{near(str(entry), known)}")
    if search.get("draw", "random") != "random":
        raise UserError(
            f"{path}: the search draws {search['draw']!r}: say draw: random, or leave it out, and trials learn from those before"
        )
    if not isinstance(search.get("space"), dict):
        raise UserError(f"{path}: the search needs a 'space': by method, its options and where to look for their values")
    if "seeds" in search:
        if not isinstance(search["seeds"], list) or not search["seeds"]:
            raise UserError(f"{path}: the seeds of the search must be some numbers, as in [100], and are {search['seeds']!r}")
        require_seeds(path, search["seeds"])
    for method, options in search["space"].items():
        if method not in methods:
            raise UserError(f"{path}: the search has a space for '{method}', which is not one of its methods{near(str(method), methods)}")
        if not isinstance(options, dict) or not options:
            raise UserError(f"{path}: the space of '{method}' is {options!r}: name its options, as in model.trade_off")
        for option, spec in options.items():
            _require_space(path, option, spec)


def _require_space(path: Path, option: Any, spec: Any) -> None:
    """Raise :class:`UserError` where ``option`` is not an option of model or data, or ``spec`` does not define its values."""
    if not isinstance(option, str) or not re.fullmatch(r"(model|data)(\.\w+)+", option):
        raise UserError(f"{path}: the search has a space for the option '{option}': name one of model or data, as in model.trade_off")
    if not isinstance(spec, dict) or set(spec) - {"low", "high", "log", "choices"} or ("choices" in spec) == ("low" in spec):
        raise UserError(f"{path}: the space of '{option}' is {spec}: give either choices: [...], or low and high, and log: true")
    if "choices" in spec:
        whole = isinstance(spec["choices"], list) and bool(spec["choices"]) and all(map(is_scalar, spec["choices"]))
    else:
        low, high, log = spec["low"], spec.get("high"), spec.get("log", False)
        whole = is_number(low) and is_number(high) and low < high and isinstance(log, bool) and (low > 0 or not log)
    if not whole:
        raise UserError(
            f"{path}: the space of '{option}' is {spec}: choices are a list of plain values; low is below high, and above 0 with log: true"
        )


def is_number(value: object) -> bool:
    """Whether ``value`` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def is_scalar(value: object) -> bool:
    """Whether ``value`` is a plain value: no list and no mapping."""
    return value is None or isinstance(value, str | bool) or is_number(value)


def _require_stages(path: Path, declared: dict[str, Any], order: list[str]) -> None:
    """Raise :class:`UserError` where a method depends on one that is not above it in the table."""
    for stage in ("after", "translate"):
        for method, first in declared.get(stage, {}).items():
            if method not in order or first not in order or order.index(first) >= order.index(method):
                raise UserError(
                    f"{path}: under '{stage}', '{method}' cannot come after '{first}': both must be methods of the table, '{first}' above "
                    "the other"
                )


def _require_metric(path: Path, metric: Any, tasks: list[str]) -> None:
    """Raise :class:`UserError` where ``metric`` is neither the name of a metric nor one name per task."""
    if metric is None:
        return
    names = metric if isinstance(metric, dict) else dict.fromkeys(tasks, metric)
    for task in tasks:
        if task not in names:
            raise UserError(f"{path}: the metric of the task '{task}' is not named: name one for each task, or one for all")
    for task, name in names.items():
        if task not in tasks:
            raise UserError(f"{path}: there is a metric of '{task}', which is not one of its tasks{near(task, tasks)}")
        if not isinstance(name, str) or not name.startswith("test/"):
            raise UserError(f"{path}: the metric '{name}' is not of a test: name one such as test/target/accuracy or test/target/f1")


PUBLISHED: dict[str, Callable[[Any], bool]] = {
    "method": lambda value: isinstance(value, str),
    "task": lambda value: isinstance(value, str),
    "value": lambda value: isinstance(value, str) or is_number(value),
    "source": lambda value: isinstance(value, str),
}
"""The keys of a published number, each with the check of its value."""


def require_published(path: Path, published: object) -> dict[str, Any]:
    """The ``published`` numbers that the file at ``path`` holds.

    Raises:
        UserError: they are no list of entries with a method, a task, a value and a source, a text on how the protocols differ, and the
            printed names of ``others``, methods that have numbers and no row.
    """
    declared: dict[str, Any] = published if isinstance(published, dict) else {}
    numbers, differ, others = declared.get("numbers"), declared.get("protocol_differs") or "", declared.get("others") or {}
    if set(declared) - {"numbers", "protocol_differs", "others"} or not isinstance(numbers, list) or not isinstance(differ, str):
        raise UserError(f"{path} holds no published numbers: it needs 'numbers', a list, and 'protocol_differs', a text")
    if not isinstance(others, dict) or not all(isinstance(name, str) for pair in others.items() for name in pair):
        raise UserError(f"{path}: 'others' is {others!r}: it gives each method that has numbers and no row a printed name")
    for entry in numbers:
        if not isinstance(entry, dict) or set(entry) != set(PUBLISHED) or not all(holds(entry[k]) for k, holds in PUBLISHED.items()):
            raise UserError(f"{path}: the published number {entry!r} is incomplete: give it a method, a task, a value and a source")
    return {"numbers": numbers, "protocol_differs": differ, "others": others}
