"""Search the options of a table's methods with Optuna, by a validator that sees no target label."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlda.bench.checks import is_number, tuned
from tlda.bench.edges import beyond, edge
from tlda.bench.folds import folds
from tlda.bench.results import read_results
from tlda.bench.table import Cell, Table, merge
from tlda.errors import UserError, lacking, near
from tlda.writing import write_text

FURTHER = 4
"""How many numbers a search tries at most beyond an edge that it ended at, of each option."""

SOURCE_ACCURACY = "source_accuracy"
"""The validator that is the accuracy on the held-out rows of the source: DomainBed's training-domain validation."""

Complete = Callable[[list[Cell]], dict[str, str]]
"""Runs the missing ones of some cells, and returns the failures."""


def tune(table: Table, folder: Path, trials: int, complete: Complete, picked: Collection[str]) -> None:
    """Run ``trials`` trials of each ``picked`` method that the table's ``search`` has a space for, and keep the best in ``tuned.json``.

    A trial is the table's cells with other values of the options and the search's own seeds; its value is the validator after
    the last epoch, the mean over tasks and seeds. One that fails, or whose validator is not finite, is none of the best. Where the best is
    at an edge of what was tried, further trials look beyond it, unless the search draws at random. Trials are result files too, in the
    folder ``trials``: a search goes on where it was killed. Where the table leaves sources out, so do its trials.

    Raises:
        UserError: Optuna is missing, the table declares no search, the validator is unknown, an oracle, or not measured there, or
            every trial of a method failed.
    """
    try:
        import optuna
    except ImportError as error:
        raise lacking("--tune", "optuna", "tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    validator, higher = _validator(table)
    found, random = _found(table, folder), table.search.get("draw") == "random"
    for method in [method for method in table.search["space"] if method in picked]:
        sampler = (optuna.samplers.RandomSampler if random else optuna.samplers.TPESampler)(seed=0)
        study = optuna.create_study(direction="maximize" if higher else "minimize", sampler=sampler)
        failed = ""
        tried: list[dict[str, Any]] = []

        def run(values: dict[str, Any], method: str = method, tried: list[dict[str, Any]] = tried) -> tuple[float | None, str]:
            name = f"{method}_trial_{len(tried)}"
            trial = _trial(table, name, method, values)
            cells, left_out = ([cell for cell in part.cells() if cell.method == name] for part in (trial, folds(trial)))
            failed = next(iter(complete([*cells, *left_out]).values()), "")
            value = math.nan if failed else _measured(cells, folder / "trials", validator)
            tried.append({"values": values, "value": value if math.isfinite(value) else None})
            return tried[-1]["value"], failed

        for _ in range(trials):
            trial = study.ask()
            value, failed = run({option: _suggested(trial, option, spec) for option, spec in table.search["space"][method].items()})
            study.tell(trial, value, None if value is not None else optuna.trial.TrialState.FAIL)
        if all(one["value"] is None for one in tried):
            raise UserError(f"no trial of {method} has a value of {table.search['validator']}: {failed or 'it was never finite'}")
        if not random:
            _widen(table.search["space"][method], tried, higher, run)
        best = _best(tried, higher)
        found[method] = {"values": best["values"], "validator": table.search["validator"], "value": best["value"], "trials": tried}
        write_text(folder / "tuned.json", json.dumps(found, indent=1) + "\n")


def _best(tried: Sequence[dict[str, Any]], higher: bool) -> dict[str, Any]:
    """The first of the best of the trials that came to a value."""
    return max((one for one in tried if one["value"] is not None), key=lambda one: one["value"] if higher else -one["value"])


def _widen(space: dict[str, Any], tried: list[dict[str, Any]], higher: bool, run: Callable[[dict[str, Any]], object]) -> None:
    """Try further numbers beyond an edge, at most :data:`FURTHER` of an option, while the best of those ``tried`` is at one."""
    for option, spec in space.items():
        for _ in range(FURTHER if "choices" not in spec else 0):
            best, numbers = _best(tried, higher)["values"], _tried(tried, option)
            if not edge(best[option], numbers):
                break
            try:
                run({**best, option: beyond(best[option], numbers, bool(spec.get("log", False)))})
            except UserError:
                break  # the option takes no such number


def _found(table: Table, folder: Path) -> dict[str, Any]:
    """The values found for each method, empty without a search; a damaged entry, or one of another search, is printed and left out."""
    path = folder / "tuned.json"
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        print(f"tlda: {path} is damaged and left out: search again with --tune, or take it from your backup")
        return {}
    faults = {method: _fault(table.search["space"].get(method, {}), entry) for method, entry in found.items()}
    for method, why in faults.items():
        if why:
            print(f"tlda: the search for '{method}' in {path} is left out: {why}; search again with --tune")
    return {method: entry for method, entry in found.items() if not faults[method]}


def _fault(space: dict[str, Any], entry: Any) -> str:
    """The reason why ``entry`` is not a result of a search in ``space``; empty where it is."""
    if not isinstance(entry, dict) or not isinstance(entry.get("values"), dict) or not isinstance(entry.get("validator"), str):
        return "it is damaged"
    trials = entry.get("trials", [])
    if not isinstance(trials, list) or not all(isinstance(trial, dict) and isinstance(trial.get("values"), dict) for trial in trials):
        return "its trials are damaged"
    values = entry["values"]
    if set(values) != set(space):
        return "it was of other options"
    tried = {option: _tried(entry.get("trials", ()), option) for option in space}
    outside = [f"{option} {values[option]!r}" for option, spec in space.items() if not _within(spec, values[option], tried[option])]
    return f"{', '.join(outside)} is outside of its space" if outside else ""


def _within(spec: dict[str, Any], value: Any, tried: Sequence[float]) -> bool:
    """Whether ``value`` is one that a search looks at, or, beyond the space that it began with, one that it ``tried``."""
    if "choices" in spec:
        return value in spec["choices"]
    inside = any(spec["low"] <= number <= spec["high"] for number in tried)
    return is_number(value) and (spec["low"] <= value <= spec["high"] or (inside and value in tried))


def with_tuned(table: Table, folder: Path) -> Table:
    """The table with a row below each method that was tuned, which comes after what that method comes after."""
    found = _found(table, folder) if table.search else {}
    methods: dict[str, Any] = {}
    labels = dict(table.labels)
    for name, overlay in table.methods.items():
        methods[name] = overlay
        if name in found:
            values = found[name]["values"]
            methods[tuned(name)] = merge(overlay, _overlay(values))
            shown = ", ".join(_shown(found[name], option) for option in values)
            labels[tuned(name)] = f"{table.label(name)}, tuned by {found[name]['validator']} ({shown})"
    after, translate = ({**stage, **{tuned(name): stage[name] for name in found if name in stage}} for stage in table.stages)
    return replace(table, methods=methods, labels=labels, after=after, translate=translate)


def _shown(entry: dict[str, Any], option: str) -> str:
    """The value of an ``option`` in print, and whether it is at an edge of what was tried."""
    value = entry["values"][option]
    where = edge(value, _tried(entry.get("trials", ()), option))
    return f"{option.rsplit('.', 1)[-1]} {_printed(value)}{where and f', {where}'}"


def _tried(trials: Sequence[dict[str, Any]], option: str) -> list[float]:
    """The numbers that were tried of ``option``, in the trials that came to a value."""
    return [trial["values"][option] for trial in trials if trial.get("value") is not None and is_number(trial["values"].get(option))]


def _printed(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _validator(table: Table) -> tuple[str, bool]:
    from tlda.metrics import VALIDATORS

    if not table.search:
        raise UserError(f"{table.path} declares no 'search': say which validator chooses, with which seeds, in which space")
    name = table.search.get("validator", "")
    if name == SOURCE_ACCURACY:
        return "val/source/accuracy", True
    if name not in VALIDATORS:
        raise UserError(f"{table.path}: '{name}' is no label-free validator{near(name, [SOURCE_ACCURACY, *VALIDATORS])}")
    return f"val/target/{name}", bool(VALIDATORS[name].higher_is_better)


def _suggested(trial: Any, option: str, spec: dict[str, Any]) -> Any:
    if "choices" in spec:
        return trial.suggest_categorical(option, spec["choices"])
    return trial.suggest_float(option, float(spec["low"]), float(spec["high"]), log=bool(spec.get("log", False)))


def _overlay(values: dict[str, Any]) -> dict[str, Any]:
    """The values by dotted name, such as ``model.trade_off``, as an overlay."""
    return merge(*(_nested(*option.split("."), value=value) for option, value in values.items()))


def _nested(part: str, *names: str, value: Any) -> dict[str, Any]:
    return {part: {"init_args": {names[0]: value}}} if len(names) == 1 else {part: {"init_args": _nested(*names, value=value)}}


def trials_of(table: Table, method: str) -> list[tuple[Table, str]]:
    """The tables of the trials of ``method`` that a search made, and the name of the method in each."""
    tried = _found(table, table.results).get(method, {}).get("trials", [])
    names = [f"{method}_trial_{number}" for number in range(len(tried))]
    return [(_trial(table, name, method, trial["values"]), name) for name, trial in zip(names, tried, strict=True)]


def _trial(table: Table, name: str, method: str, values: dict[str, Any]) -> Table:
    """The table with a row ``name`` that is ``method`` with other ``values``, and comes after what ``method`` comes after."""
    needed = {table.baseline, *_before(table, method)}
    methods = {m: overlay for m, overlay in table.methods.items() if m in needed}
    after, translate = (
        {**{m: stage[m] for m in methods if m in stage}, **({name: stage[method]} if method in stage else {})} for stage in table.stages
    )
    return replace(
        table,
        methods={**methods, name: merge(table.methods[method], _overlay(values))},
        seeds=table.search.get("seeds", [100]),
        after=after,
        translate=translate,
    )


def _before(table: Table, method: str) -> Iterator[str]:
    """The methods that ``method`` depends on, directly or through others."""
    for stage in table.stages:
        if method in stage:
            yield stage[method]
            yield from _before(table, stage[method])


def _measured(cells: list[Cell], folder: Path, validator: str) -> float:
    """The mean of the validator after the last epoch of ``cells``; NaN where it was not finite."""
    return statistics.fmean(_last(read_results(folder, cells), validator))


def _last(results: dict[Any, dict[str, Any]], validator: str) -> Iterator[float]:
    for result in results.values():
        if not result["history"]:
            raise UserError("the runs of the search were not validated: leave trainer.limit_val_batches out")
        measured = {name: value for name, value in result["history"][-1].items() if name.startswith("val/")}
        if validator not in measured:
            known = [name.removeprefix("val/target/") for name in measured if "val/target/" in name]
            raise UserError(f"the runs of the search do not measure '{validator.rpartition('/')[2]}'; they do: {', '.join(known)}")
        yield math.nan if (value := measured[validator]) is None else float(value)
