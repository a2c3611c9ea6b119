"""A table's declaration: methods x tasks x seeds over a base configuration, and the cells that it makes."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tlda.errors import UserError, near

PROTOCOL = 1
"""The version of the code that decides results. Raise it when a change of the code changes numbers."""

METRIC = "test/target/accuracy"
"""What a table shows."""

NOT_DECISIVE = ("root", "download", "num_workers", "eval_batch_size", "in_memory")
"""Options of the data that say where it lies or how it is read, and so decide no result."""


@dataclass(frozen=True)
class Cell:
    """One run of a table: a method on a task with a seed, and the hash of all that decides its result.

    ``first`` is the cell whose checkpoint it starts from, ``leads`` whether it is such a cell itself.
    """

    method: str
    task: str
    seed: int
    config: dict[str, Any]
    key: str
    first: Cell | None = None
    leads: bool = False

    @property
    def name(self) -> str:
        """The name of its result file."""
        return f"{self.method}-{self.task}-{self.seed}"

    def checkpoint(self, folder: Path) -> Path:
        """Where a cell that ``leads`` leaves its network for others, below the folder of the results."""
        return folder / "checkpoints" / f"{self.name}-{self.key}.ckpt"


@dataclass(frozen=True)
class Table:
    """A table as declared: see ``benchmarks/tables/digits.yaml``."""

    path: Path
    title: str
    protocol: str
    methods: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]]
    seeds: list[int]
    baseline: str
    base: dict[str, Any] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    select_by: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    published: dict[str, Any] = field(default_factory=dict)

    def label(self, name: str) -> str:
        """What a method or task is called in print."""
        return self.labels.get(name, name)

    @property
    def results(self) -> Path:
        """The folder of the result files: ``results/NAME`` beside the folder ``tables``, or beside the file."""
        folder = self.path.resolve().parent
        return (folder.parent if folder.name == "tables" else folder) / "results" / self.path.stem

    def config(self, method: str, task: str) -> dict[str, Any]:
        """The declared configuration of a method on a task."""
        return merge(self.base, self.tasks[task], self.methods[method])

    def cells(self) -> list[Cell]:
        """Every cell, seed by seed, so that a complete if small table is there early."""
        from tlda.build import resolve

        cells: dict[tuple[int, str, str], Cell] = {}
        configs = {(t, m): self.config(m, t) for t in self.tasks for m in self.methods}
        resolved = {place: resolve(config) for place, config in configs.items()}
        for seed, (t, m) in itertools.product(self.seeds, configs):
            first = cells[seed, t, self.after[m]] if m in self.after else None
            key = _hash(resolved[t, m], configs[t, m].get("trainer", {}), first)
            cells[seed, t, m] = Cell(m, t, seed, configs[t, m], f"{key}-{seed}", first, m in self.after.values())
        return list(cells.values())

    def narrowed(self, methods: str | None, tasks: str | None, seeds: str | None) -> Table:
        """The table with the named methods, tasks and seeds only, each a comma-separated list."""
        chosen_seeds = list(_pick(seeds, {str(s): s for s in self.seeds}, "seed", self.path).values())
        return Table(
            **{
                **vars(self),
                "methods": _pick(methods, self.methods, "method", self.path),
                "tasks": _pick(tasks, self.tasks, "task", self.path),
                "seeds": chosen_seeds,
            }
        )


def _pick(names: str | None, known: dict[str, Any], what: str, path: Path) -> dict[str, Any]:
    if names is None:
        return known
    chosen = [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in known:
            raise UserError(f"{path} has no {what} '{name}'{near(name, known)}")
    return {name: known[name] for name in chosen}


def merge(*overlays: dict[str, Any]) -> dict[str, Any]:
    """The overlays as one configuration: a later one wins, mappings are merged."""
    merged: dict[str, Any] = {}
    for overlay in overlays:
        for key, value in overlay.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(merged[key], value) if both else value
    return merged


def _hash(resolved: dict[str, Any], trainer: dict[str, Any], first: Cell | None) -> str:
    data = {key: value for key, value in resolved["data"]["init_args"].items() if key not in NOT_DECISIVE}
    decisive = {"model": resolved["model"], "data": [resolved["data"]["class_path"], data], "trainer": trainer, "protocol": PROTOCOL}
    decisive["after"] = first and first.key
    return hashlib.blake2b(json.dumps(_without_nulls(decisive), sort_keys=True).encode(), digest_size=8).hexdigest()


def _without_nulls(value: Any) -> Any:
    # An option added later, off by default, must not change the hash of what was measured before it.
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _overlay(value: Any, place: Path) -> dict[str, Any]:
    """An overlay written in the file ``place``, the path of one (relative to that file), or a list of such."""
    from tlda.build import known_options
    from tlda.parsing import read_yaml, require_config

    if isinstance(value, str):
        path = place.parent / value
        return _overlay(read_yaml(path), path)
    if isinstance(value, list):
        return merge(*(_overlay(item, place) for item in value))
    require_config(place, value or {}, known_options())
    return value or {}


def load_table(path: str | Path) -> Table:
    """The table declared in the YAML file at ``path``."""
    from tlda.parsing import read_yaml

    path = Path(path)
    declared = read_yaml(path)
    _require_table(path, declared)
    overlays = {kind: {str(k): _overlay(v, path) for k, v in declared[kind].items()} for kind in ("methods", "tasks")}
    published = declared.get("published")
    return Table(
        path=path,
        title=declared.get("title", path.stem),
        protocol=" ".join(declared.get("protocol", "").split()),
        seeds=declared["seeds"],
        baseline=declared.get("baseline", next(iter(overlays["methods"]))),
        base=_overlay(declared.get("base"), path),
        after=declared.get("after", {}),
        select_by=declared.get("select_by"),
        labels=declared.get("labels", {}),
        published=read_yaml(path.parent / published) if published else {},
        **overlays,
    )


def _require_table(path: Path, declared: Any) -> None:
    """Raise :class:`UserError` where ``declared``, from ``path``, is not a table's declaration."""
    needed = {"methods": dict, "tasks": dict, "seeds": list}
    known = (*needed, "title", "protocol", "baseline", "base", "after", "select_by", "labels", "published")
    if not isinstance(declared, dict):
        raise UserError(f"{path} is not a table: it needs {', '.join(needed)}")
    for key in declared:
        if key not in known:
            raise UserError(f"{path} has an unknown entry '{key}'{near(str(key), known)}")
    for key, kind in needed.items():
        if not isinstance(declared.get(key), kind) or not declared[key]:
            what = "some numbers, as in [0, 1, 2]" if kind is list else "a mapping of names to overlays"
            raise UserError(f"{path} is not a table: '{key}' must be {what}")
    if wrong := [seed for seed in declared["seeds"] if type(seed) is not int]:
        raise UserError(f"{path}: the seed '{wrong[0]}' is not a whole number")
    if (baseline := declared.get("baseline")) and baseline not in declared["methods"]:
        raise UserError(f"{path}: the baseline '{baseline}' is not one of its methods{near(baseline, declared['methods'])}")
    order = [str(method) for method in declared["methods"]]
    for method, first in declared.get("after", {}).items():
        if {method, first} - set(order) or order.index(first) >= order.index(method):
            raise UserError(f"{path}: '{method}' cannot come after '{first}': both must be methods of the table, '{first}' above the other")
