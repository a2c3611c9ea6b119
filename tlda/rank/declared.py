"""What a ranking compares: candidates, on a labelled part of the target of each task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from tlda.bench.table import merge
from tlda.config.classes import options
from tlda.config.overlays import read_yaml
from tlda.errors import UserError, near, subclasses

ENTRIES = ("title", "protocol", "data", "tasks", "candidates", "labelled", "fine_tune", "domains")


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
    return {**data, "init_args": {key: value for key, value in data.get("init_args", {}).items() if key in allowed}}


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
    candidates = {str(name): _candidate(paths[-1], str(name), value) for name, value in declared.pop("candidates").items()}
    return Ranking(name=paths[-1].stem, candidates=candidates, **declared)


def _entries(path: Path) -> dict[str, Any]:
    declared = read_yaml(path)
    if not isinstance(declared, dict):
        raise UserError(f"{path} is no ranking: it needs data and candidates")
    for key in declared:
        if key not in ENTRIES:
            raise UserError(f"{path} has an unknown entry '{key}'{near(str(key), ENTRIES)}")
    return declared


def _candidate(path: Path, name: str, value: Any) -> dict[str, Any]:
    """A candidate's ``backbone`` and ``data``; what is a class at once is its backbone."""
    if isinstance(value, dict) and "class_path" in value:
        return {"backbone": value}
    if not isinstance(value, dict) or not value or set(value) - {"backbone", "data"}:
        raise UserError(f"{path}: the candidate '{name}' is none: give it a class_path with init_args, or a backbone and data of its own")
    return value
