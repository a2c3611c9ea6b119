"""A table's declaration: methods x tasks x seeds over a base configuration, and the cells that it makes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tlda.bench.checks import MAPPINGS, named, require_entries, require_published
from tlda.config.protocol import decisive, digest, lines, own_code, protocol, without_nulls
from tlda.config.shipped import named as named_file
from tlda.config.shipped import shipped
from tlda.errors import UserError, near

METRIC = "test/target/accuracy"
"""The metric that a table shows by default."""

IN_UNITS = ("rmse", "mae", "risk", "few_shot_risk", "perplexity", "bits_per_byte")
"""The metrics that are errors in the unit of the labels, or in nats, and no percentages."""

ERRORS = (*IN_UNITS, "ece", "brier", "eer", "accuracy_std")
"""The metrics of which lower is better."""

METRICS = {
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "mean_average_precision": "mean average precision",
    "accuracy": "accuracy",
    "h_score": "H-score",
    "os_star": "OS*",
    "unk": "UNK",
    "os": "OS",
    "unknown_auroc": "AUROC of the unknown score",
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "ece": "ECE",
    "brier": "Brier score",
    "sensitivity": "sensitivity at 90 % specificity",
    "f1": "F1",
    "macro_f1": "macro-F1",
    "exact_match": "exact match",
    "risk": "risk",
    "few_shot_risk": "few-shot risk",
    "mean_iou": "mIoU",
    "dice": "Dice",
    "ap50": "AP50",
    "ap50_95": "AP50:95",
    "accuracy_std": "its standard deviation over folds",
    "eer": "EER",
    "tar_far_1": "TAR at FAR 1 %",
    "tar_far_01": "TAR at FAR 0.1 %",
    "accuracy_source_threshold": "accuracy at the source's threshold",
    "perplexity": "perplexity",
    "bits_per_byte": "bits per byte",
    "seconds": "seconds of a run",
    "return": "greedy return",
    "return_area": "mean greedy return over the run",
}
"""The printed name of a metric."""


def is_error(metric: str) -> bool:
    """Whether a metric, such as ``test/target/rmse``, is an error."""
    return metric.rsplit("/", 1)[-1].startswith(ERRORS)


def scale_of(metric: str) -> float:
    """The factor of the printed value of a metric: 100 for a fraction, 1 for a number with a unit, such as a return."""
    return 1.0 if metric.rsplit("/", 1)[-1].startswith((*IN_UNITS, "r2", "return", "seconds")) else 100.0


@dataclass(frozen=True)
class Cell:
    """One run of a table: a method on a task with a seed, and the hash of all that decides its result.

    ``first`` is the cell whose checkpoint it starts from, ``translator`` the one whose translation of the source it trains on, and
    ``leads`` says whether it is such a cell itself; ``metric`` is what the table shows of it.
    """

    method: str
    task: str
    seed: int
    config: dict[str, Any]
    resolved: dict[str, Any]
    key: str
    first: Cell | None = None
    leads: bool = False
    translator: Cell | None = None
    metric: str = METRIC

    @property
    def name(self) -> str:
        """The name of its result file."""
        return f"{self.method}-{self.task}-{self.seed}"

    def checkpoint(self, folder: Path) -> Path:
        """The path, below the folder of the results, of the checkpoint that a cell that ``leads`` writes for others.

        Tasks whose data the method replaces by its own have one in common. The key does not say where the data lie: their options do.
        """
        data = digest(without_nulls({"data": self.resolved["data"]}))
        return folder / "checkpoints" / f"{self.method}-{data}-{self.key}.ckpt"

    def translation(self, folder: Path) -> Path:
        """The path, below the folder of the results, of the source that a cell that ``leads`` translated for others."""
        return folder / "translated" / f"{self.name}-{self.key}"


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
    translate: dict[str, str] = field(default_factory=dict)
    select_by: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    metric: str | dict[str, str] = METRIC
    published: dict[str, Any] = field(default_factory=dict)
    plot: dict[str, str] = field(default_factory=dict)
    leave_one_out: bool = False
    also: list[str] = field(default_factory=list)
    control: str | None = None
    folder: Path | None = None

    def label(self, name: str) -> str:
        """The printed name of a method or task."""
        return self.labels.get(name, name)

    @property
    def results(self) -> Path:
        """The folder of the result files: the one given, else ``results/NAME`` beside the folder ``tables``, or beside the file."""
        if self.folder:
            return self.folder
        folder = self.path.resolve().parent
        return (folder.parent if folder.name == "tables" else folder) / "results" / self.path.stem

    def shows(self, task: str) -> str:
        """The metric that the table shows of ``task``."""
        return self.metric if isinstance(self.metric, str) else self.metric[task]

    def called(self, task: str) -> str:
        """The printed name of the metric of ``task``."""
        name = self.shows(task).rsplit("/", 1)[-1]
        return METRICS.get(name, name)

    @property
    def is_error(self) -> bool:
        """Whether what the table shows is an error, see :data:`ERRORS`."""
        return is_error(self.shows(next(iter(self.tasks))))

    @property
    def metric_name(self) -> str:
        """The printed name of the metric, or of each task's metric where these differ."""
        tasks: dict[str, list[str]] = {}
        for task in self.tasks:
            tasks.setdefault(self.called(task), []).append(self.label(task))
        return next(iter(tasks)) if len(tasks) == 1 else ", ".join(f"{name} ({', '.join(labels)})" for name, labels in tasks.items())

    def config(self, method: str, task: str) -> dict[str, Any]:
        """The declared configuration of a method on a task."""
        return merge(self.base, self.tasks[task], self.methods[method])

    def cells(self) -> list[Cell]:
        """All cells, seed by seed, so that a first table with one seed is complete early."""
        cells: dict[tuple[int, str, str], Cell] = {}
        for seed, (t, m) in itertools.product(self.seeds, self.resolved):
            first, translator = (cells[seed, t, stage[m]] if m in stage else None for stage in self.stages)
            resolved = self.resolved[t, m]
            if translator and "translator" not in translator.resolved["model"]["init_args"]:
                raise UserError(f"{self.path}: under 'translate', '{translator.method}' translates nothing: name a method such as CycleGAN")
            before = {"after": first and first.key, "translate": translator and translator.key}
            key = f"{digest(without_nulls({**decisive(resolved), **before, 'code': own_code(resolved)}))}-{seed}"
            leads = any(m in stage.values() for stage in self.stages)
            cells[seed, t, m] = Cell(m, t, seed, self.config(m, t), resolved, key, first, leads, translator, self.shows(t))
        return list(cells.values())

    @property
    def stages(self) -> tuple[dict[str, str], dict[str, str]]:
        """The methods that need another's cell first: for its checkpoint, and for its translation of the source."""
        return self.after, self.translate

    @cached_property
    def resolved(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By task and method: every option of model and data spelled out, and the trainer's as declared."""
        from tlda.config.build import resolve

        found: dict[tuple[str, str], dict[str, Any]] = {}
        for task, method in itertools.product(self.tasks, self.methods):
            config = self.config(method, task)
            found[task, method] = {**resolve(config), "trainer": config.get("trainer", {})}
        return found

    def measured_under(self, method: str) -> dict[str, Any]:
        """By task: the lines of the protocol that ``method`` is measured under."""
        return self._protocols[method]

    @cached_property
    def _protocols(self) -> dict[str, dict[str, Any]]:
        return {method: {task: protocol(self.resolved[task, method]) for task in self.tasks} for method in self.methods}

    @cached_property
    def own_lines(self) -> dict[str, dict[str, Any]]:
        """By method: the lines that decide its results and are not the protocol's, which are its own options."""
        found = {method: self.resolved[next(iter(self.tasks)), method] for method in self.methods}
        return {
            method: {name: value for name, value in lines(resolved).items() if name not in shared}
            for method, resolved in found.items()
            for shared in [protocol(resolved)]
        }

    def narrowed(self, methods: str | None, tasks: str | None, seeds: str | None) -> Table:
        """The table with the named methods, tasks and seeds only, each a comma-separated list."""
        return replace(
            self,
            methods=_pick(methods, self.methods, "method", self.path),
            tasks=_pick(tasks, self.tasks, "task", self.path),
            seeds=list(_pick(seeds, {str(s): s for s in self.seeds}, "seed", self.path).values()),
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
    """The overlays as one configuration: a later one wins, mappings are merged; another class keeps the options that it has too."""
    merged: dict[str, Any] = {}
    for overlay in overlays:
        for key, value in overlay.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(_kept(key, merged[key], value), value) if both else value
    return merged


def _kept(key: str, below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """The options of ``below`` that remain where ``above`` is laid over them; both are the value of ``key``."""
    names = [str(part.get("class_path", "")).rpartition(".")[2] for part in (below, above)]
    if not all(names) or names[0] == names[1] or "init_args" not in below:
        return below
    from tlda.config.classes import BASES, options
    from tlda.errors import subclasses

    cls = subclasses(BASES[key]).get(names[1]) if key in BASES else None
    kept = {name: value for name, value in below["init_args"].items() if cls is None or name in options(cls)}
    return {**below, "init_args": kept}


def _overlay(value: Any, place: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """An overlay written in the file ``place``, the path of one (relative to that file), or a list of such.

    ``above`` are the files that led here; none of them may be named again.
    """
    from tlda.config.build import known_options
    from tlda.config.overlays import read_yaml, require_config

    if isinstance(value, str):
        path = place.parent / value
        path = path if path.is_file() else shipped("overlays").get(value, path)
        if path.resolve() in above:
            raise UserError(f"{path}: an overlay names itself: write it out")
        return _overlay(read_yaml(path), path, (*above, path.resolve()))
    if isinstance(value, list):
        return merge(*(_overlay(item, place, above) for item in value))
    require_config(place, value or {}, known_options())
    return value or {}


def find_table(name: Path, results: Path | None) -> tuple[Path, Path | None]:
    """The file of the table ``name``, the user's own or tlda's, and the folder of its results, None for that which the table says itself.

    Those of a table of tlda's, named without a path, are in the working folder, unless that has the table in it.
    """
    path = named_file(name, "tables")
    away = path.stem == str(name) and not path.resolve().is_relative_to(Path.cwd())
    return path, results or (Path("results") / path.stem if away else None)


def load_table(path: str | Path, results: Path | None = None) -> Table:
    """The table declared in the YAML file at ``path``, its result files in the folder ``results`` where it is given."""
    from tlda.config.overlays import read_yaml

    path = Path(path)
    declared = _declared(path, read_yaml(path))
    try:
        overlays: dict[str, Any] = {kind: {name: _overlay(v, path) for name, v in declared[kind].items()} for kind in ("methods", "tasks")}
        base = _overlay(declared.get("base"), path)
    except RecursionError as error:
        raise UserError(f"{path}: an overlay is nested without end: write it out") from error
    published = declared.get("published")
    return Table(
        path=path,
        title=declared.get("title", path.stem),
        protocol=" ".join(declared.get("protocol", "").split()),
        seeds=declared["seeds"],
        baseline=declared.get("baseline", next(iter(overlays["methods"]))),
        base=base,
        select_by=declared.get("select_by"),
        metric=declared.get("metric", METRIC),
        published=require_published(path.parent / published, read_yaml(path.parent / published)) if published else {},
        leave_one_out=declared.get("leave_one_out", False),
        also=declared.get("also", []),
        control=declared.get("control"),
        folder=results,
        **{name: declared.get(name, {}) for name in MAPPINGS},
        **overlays,
    )


def _declared(path: Path, declared: Any) -> dict[str, Any]:
    """The declaration ``declared`` from ``path``, without blank entries, and with names as texts, which YAML may read as numbers.

    Raises:
        UserError: it is not a table's declaration.
    """
    needed = {"methods": dict, "tasks": dict, "seeds": list}
    known = [entry.name for entry in fields(Table) if entry.name not in ("path", "folder")]
    if not isinstance(declared, dict):
        raise UserError(f"{path} is not a table: it needs {', '.join(needed)}")
    for key in declared:
        if key not in known:
            raise UserError(f"{path} has an unknown entry '{key}'{near(str(key), known)}")
    for key, kind in needed.items():
        if not isinstance(declared.get(key), kind) or not declared[key]:
            what = "some numbers, as in [0, 1, 2]" if kind is list else "a mapping of names to overlays"
            raise UserError(f"{path} is not a table: '{key}' must be {what}")
    found = {key: named(path, key, value) if isinstance(value, dict) else value for key, value in declared.items() if value is not None}
    require_entries(path, found)
    return found
