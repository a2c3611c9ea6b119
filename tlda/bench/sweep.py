"""A sweep of W&B, read from its own file and run here by Optuna: the same space, the same command, no server."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tlda.bench.checks import is_number
from tlda.config.overlays import read_yaml
from tlda.errors import UserError, near

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.samplers import BaseSampler

METHODS = ("bayes", "random", "grid")
"""How a sweep chooses its trials."""

SUMMARY = (".last", ".max", ".min")
"""The endings by which W&B's summary names the last or the best value of a metric; here it is the last one."""


class Sweep(NamedTuple):
    """A sweep: how it chooses, the metric and whether higher is better, the parameters by name, and the command with its macros."""

    method: str
    metric: str
    maximise: bool
    parameters: dict[str, dict[str, Any]]
    command: list[str]


class Tried(NamedTuple):
    """A trial: the values by option, and what it came to; None where it failed or the metric was not finite."""

    values: dict[str, Any]
    value: float | None


def load_sweep(path: Path) -> Sweep:
    """The sweep in the YAML file at ``path``, of the form that ``wandb sweep`` takes.

    Raises:
        UserError: there is none, or it has something that is not understood here.
    """
    found: Any = read_yaml(path)
    if not isinstance(found, dict) or not isinstance(found.get("parameters"), dict) or not isinstance(found.get("metric"), dict):
        raise UserError(f"{path} is no sweep: it needs 'method', 'metric' with its name and goal, 'parameters' and 'command'")
    method, metric, command = found.get("method"), found["metric"], found.get("command") or []
    if method not in METHODS:
        raise UserError(f"{path}: there is no method '{method}' of a sweep{near(str(method), METHODS)}")
    if metric.get("goal", "minimize") not in ("maximize", "minimize") or not isinstance(metric.get("name"), str):
        raise UserError(f"{path}: the metric needs a name, such as val/target/entropy.last, and a goal: maximize or minimize")
    words = [str(word) for word in command if word not in ("${env}", "${interpreter}", "${program}")]
    if words[:2] != ["tlda", "fit"] or "${args}" not in words:
        raise UserError(f"{path}: the command of a sweep is [tlda, fit, …, '${{args}}'], so that each trial is a run")
    for name, spec in found["parameters"].items():
        _require_spec(path, name, spec)
    whole = re.sub(rf"({'|'.join(map(re.escape, SUMMARY))})$", "", metric["name"])
    return Sweep(method, whole, metric.get("goal") == "maximize", found["parameters"], words)


DISTRIBUTIONS = ("constant", "categorical", "uniform", "int_uniform", "q_uniform", "log_uniform_values", "q_log_uniform_values")
"""The distributions of W&B that are understood here."""


def _require_spec(path: Path, name: str, spec: object) -> None:
    """Raise :class:`UserError` where the parameter ``name`` of the sweep at ``path`` is none."""
    if not isinstance(spec, dict) or not ({"value", "values"} & spec.keys() or (is_number(spec.get("min")) and is_number(spec.get("max")))):
        raise UserError(f"{path}: '{name}' needs value, values, or the numbers min and max")
    if (kind := spec.get("distribution")) is not None and kind not in DISTRIBUTIONS:
        raise UserError(f"{path}: the distribution '{kind}' of '{name}' has no counterpart here{near(str(kind), DISTRIBUTIONS)}")


def suggested(trial: Trial, name: str, spec: Mapping[str, Any]) -> object:
    """The value that ``trial`` takes of the parameter ``name``, as W&B reads its ``spec``."""
    if "value" in spec:
        return spec["value"]
    if "values" in spec:
        return trial.suggest_categorical(name, spec["values"])
    low, high, kind = spec["min"], spec["max"], spec.get("distribution")
    if kind == "int_uniform" or (kind is None and isinstance(low, int) and isinstance(high, int)):
        return trial.suggest_int(name, int(low), int(high))
    if str(kind).startswith("q_"):
        value = trial.suggest_float(name, float(low), float(high), log="log" in str(kind))
        return round(value / spec.get("q", 1)) * spec.get("q", 1)
    return trial.suggest_float(name, float(low), float(high), log=kind == "log_uniform_values")


def trial_command(sweep: Sweep, values: Mapping[str, Any], folder: Path) -> list[str]:
    """The arguments of ``tlda`` for a trial with ``values``, whose run is kept below ``folder``."""
    given = [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in values.items()]
    words = [word for each in sweep.command[1:] for word in (given if each == "${args}" else [each])]
    return [*words, f"--trainer.default_root_dir={folder}"]


def run_sweep(sweep: Sweep, trials: int, folder: Path, run: Callable[[list[str]], int]) -> list[Tried]:
    """Run ``trials`` trials by ``run``, which takes the arguments of ``tlda`` and returns its exit code; runs are kept in ``folder``.

    Raises:
        UserError: Optuna is missing, or no trial has a value.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError("tlda sweep needs Optuna: pip install 'tlda[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if sweep.maximise else "minimize", sampler=_sampler(sweep))
    tried: list[Tried] = []

    def objective(trial: Trial) -> float:
        """The measure of the run that a trial asks for."""
        values = {name: suggested(trial, name, spec) for name, spec in sweep.parameters.items()}
        place = folder / f"trial-{trial.number}"
        code = run(trial_command(sweep, values, place))
        value = measured(place, sweep.metric) if code == 0 else None
        tried.append(Tried(values, value))
        print(f"tlda: trial {trial.number}: {values}: {'failed' if value is None else f'{sweep.metric} {value:.6g}'}", file=sys.stderr)
        return math.nan if value is None else value

    study.optimize(objective, n_trials=trials)
    if all(each.value is None for each in tried):
        raise UserError(f"no trial has a finite value of {sweep.metric}: look into {folder}")
    return tried


def _sampler(sweep: Sweep) -> BaseSampler:
    """The sampler of Optuna that chooses as W&B's method does."""
    from optuna import samplers

    if sweep.method != "grid":
        return samplers.TPESampler(seed=0) if sweep.method == "bayes" else samplers.RandomSampler(seed=0)
    if ranges := [name for name, spec in sweep.parameters.items() if not {"value", "values"} & spec.keys()]:
        raise UserError(f"a grid needs the values of each parameter, and '{ranges[0]}' has a range: give values, or the method random")
    return samplers.GridSampler({name: spec["values"] for name, spec in sweep.parameters.items() if "values" in spec}, seed=0)


def measured(folder: Path, metric: str) -> float | None:
    """The last value of ``metric`` in the one run below ``folder``; None where it has no finite one."""
    from tlda.report.seen import read_metrics

    rows = [row for path in sorted(folder.rglob("metrics.csv")) for row in read_metrics(path)]
    if rows and metric not in rows[0]:
        raise UserError(f"the runs of the sweep do not measure '{metric}'{near(metric, set(rows[0]) - {'epoch', 'step'})}")
    values = [float(row[metric]) for row in rows if row[metric]]
    return values[-1] if values and math.isfinite(values[-1]) else None


def best(sweep: Sweep, tried: list[Tried]) -> Tried:
    """The first of the best trials."""
    return max((each for each in tried if each.value is not None), key=lambda each: (each.value or 0.0) * (1 if sweep.maximise else -1))
