"""What a ranking compares: candidates, on a labelled part of the target of each task."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from tlda.bench.checks import named, repeated
from tlda.bench.table import merge
from tlda.config.classes import options
from tlda.config.overlays import read_yaml, require_config
from tlda.errors import UserError, near, subclasses

ENTRIES: dict[str, type] = {
    "title": str,
    "protocol": str,
    "data": dict,
    "tasks": dict,
    "candidates": dict,
    "labelled": dict,
    "fine_tune": dict,
    "domains": list,
}
"""What each entry of a ranking is."""

WORDS: dict[type, str] = {str: "a text", dict: "a mapping", list: "a list, as in [amazon, webcam]"}

LABELLED = ("shots", "holdout", "seed")
"""The options of the part of the target whose labels are seen."""


@dataclass(frozen=True)
class Ranking:
    """A ranking as declared: see ``benchmarks/rank/office_caltech10.yaml``.

    ``protocol`` is what a reader of the page should know; ``labelled`` are the options ``shots``, ``holdout`` and ``seed`` of the part
    of the target whose labels are seen.
    """

    name: str
    data: dict[str, Any]
    candidates: dict[str, dict[str, Any]]
    title: str = ""
    protocol: str = ""
    tasks: dict[str, dict[str, Any]] = field(default_factory=lambda: {"target": {}})
    labelled: dict[str, Any] = field(default_factory=dict)
    fine_tune: dict[str, Any] = field(default_factory=dict)
    domains: list[str] = field(default_factory=list)

    def images(self, task: dict[str, Any], candidate: str) -> dict[str, Any]:
        """The configuration of the data that a candidate sees."""
        data = merge(self.data, task)
        own = self.candidates[candidate].get("data", {})
        return only_known(merge(data, own))

    def features(self, task: dict[str, Any], candidate: str) -> dict[str, Any]:
        """The configuration of the candidate's features: of its network on the data, or its own rows."""
        data = self.images(task, candidate)
        if backbone := self.candidates[candidate].get("backbone"):
            data = {"class_path": "tlda.data.features.Features", "init_args": {"data": data, "extractor": backbone}}
        return merge(data, {"init_args": self.labelled})

    def picked(self, names: str | None) -> list[str]:
        """The candidates of a comma-separated list; all without one."""
        chosen = list(self.candidates) if names is None else [name.strip() for name in names.split(",")]
        for name in chosen:
            if name not in self.candidates:
                raise UserError(f"there is no candidate '{name}'{near(name, self.candidates)}")
        return chosen


def only_known(data: dict[str, Any]) -> dict[str, Any]:
    """The configuration of ``data`` without options that its class does not have: a candidate may have data of another kind."""
    from tlda.data.pair import DomainPair

    known = subclasses(DomainPair)
    name = str(data.get("class_path", "")).rsplit(".", 1)[-1]
    if name not in known:
        raise UserError(f"a ranking's data have no class '{name}'{near(name, known)}")
    allowed = options(known[name])
    return {**data, "init_args": {key: value for key, value in (data.get("init_args") or {}).items() if key in allowed}}


def load_ranking(paths: Iterable[Path]) -> Ranking:
    """The ranking that the YAML files at ``paths`` declare together: a later one wins, mappings are merged.

    Raises:
        UserError: a file that cannot be read; an unknown entry; no data or no candidates.
    """
    import tlda.data  # noqa: F401  (imported, so that its classes have short names)

    paths = list(paths)
    declared: dict[str, Any] = reduce(merge, (_entries(path) for path in paths), {})
    for entry in ("data", "candidates"):
        if not isinstance(declared.get(entry), dict) or not declared[entry]:
            raise UserError(f"{paths[-1]} is no ranking: it needs '{entry}', a mapping; see benchmarks/rank/office_caltech10.yaml")
    return Ranking(name=paths[-1].stem, **declared)


def _entries(path: Path) -> dict[str, Any]:
    """What the file at ``path`` declares, without what is left blank.

    Raises:
        UserError: it is not a ranking's declaration, or a part of one.
    """
    declared = read_yaml(path)
    if not isinstance(declared, dict):
        raise UserError(f"{path} is no ranking: it needs data and candidates")
    for key in declared:
        if key not in ENTRIES:
            raise UserError(f"{path} has an unknown entry '{key}'{near(str(key), ENTRIES)}")
    found = {key: value for key, value in declared.items() if value not in (None, "", [], {})}
    for key, value in found.items():
        if not isinstance(value, ENTRIES[key]):
            raise UserError(f"{path}: '{key}' must be {WORDS[ENTRIES[key]]}, and is {value!r}")
    return found | {key: parts(path, found[key]) for key, parts in PARTS.items() if key in found}


def _data(place: Path | str, value: Any) -> dict[str, Any]:
    """The configuration ``value`` of data, from ``place``, or a part of one; the name of a class alone is one too."""
    require_config(place, {"data": value}, ("data",))
    return _whole(value)


def _whole(value: Any) -> dict[str, Any]:
    """The configuration ``value`` of a class as a mapping, without what is left blank."""
    return {"class_path": value} if isinstance(value, str) else {key: part for key, part in (value or {}).items() if part is not None}


def _tasks(path: Path, value: dict[Any, Any]) -> dict[str, Any]:
    return {name: _data(f"{path}, task '{name}',", overlay) for name, overlay in named(path, "tasks", value).items()}


def _candidates(path: Path, value: dict[Any, Any]) -> dict[str, Any]:
    return {name: _candidate(path, name, candidate) for name, candidate in named(path, "candidates", value).items()}


def _labelled(path: Path, value: dict[Any, Any]) -> dict[str, Any]:
    for name in value:
        if name not in LABELLED:
            raise UserError(f"{path}: 'labelled' has no option '{name}'{near(str(name), LABELLED)}")
    return {name: option for name, option in value.items() if option is not None}


def _fine_tune(path: Path, value: dict[Any, Any]) -> dict[str, Any]:
    from tlda.config.build import known_options

    require_config(f"{path}, fine_tune,", value, known_options())
    return {name: _whole(part) if name in ("model", "data") else part for name, part in value.items() if part is not None}


def _domains(path: Path, value: list[Any]) -> list[str]:
    for name in value:
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise UserError(f"{path}: a domain's name is a text, and one of 'domains' is {name!r}")
    names = [str(name) for name in value]
    if twice := repeated(names):
        raise UserError(f"{path}: the domain '{twice}' occurs twice: name each once")
    return names


def _candidate(path: Path, name: str, value: Any) -> dict[str, Any]:
    """A candidate's ``backbone`` and ``data``; what is a class at once is its backbone."""
    parts = {"backbone": value} if isinstance(value, dict) and "class_path" in value else value
    if not isinstance(parts, dict) or not parts or set(parts) - {"backbone", "data"} or not _is_class(parts.get("backbone", "")):
        raise UserError(f"{path}: the candidate '{name}' is none: give it a class_path with init_args, or a backbone and data of its own")
    place = f"{path}, candidate '{name}',"
    require_config(place, {"model": {"init_args": {"backbone": parts.get("backbone")}}}, ("model",))
    return {part: _whole(option) if part == "backbone" else _data(place, option) for part, option in parts.items()}


def _is_class(value: Any) -> bool:
    """Whether ``value`` names a class."""
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("class_path"), str))


PARTS: dict[str, Callable[[Path, Any], Any]] = {
    "data": _data,
    "tasks": _tasks,
    "candidates": _candidates,
    "labelled": _labelled,
    "fine_tune": _fine_tune,
    "domains": _domains,
}
"""How each entry is checked, and made into what a ranking has."""
