"""Search the options of a table's methods with Optuna, by a validator that sees no target label."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tlda.bench.results import read_results, write_whole
from tlda.bench.table import Cell, Table, merge
from tlda.errors import UserError, near

Complete = Callable[[list[Cell]], dict[str, str]]
"""Runs what is missing of some cells, and returns what failed."""

KINDS = ("low", "high", "log", "choices")


def tune(table: Table, folder: Path, trials: int, complete: Complete) -> None:
    """Run ``trials`` trials of each method that the table's ``search`` has a space for, and keep the best values in ``tuned.json``.

    A trial is the table's cells with other values of the options and the search's own seeds; its value is the validator after
    the last epoch, the mean over tasks and seeds. Trials are result files too, in the folder ``trials``: a search goes on where it
    was killed.

    Raises:
        UserError: Optuna is missing, the table declares no search, or the validator is unknown or an oracle.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError("--tune needs Optuna: pip install 'tlda[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    validator, higher = _validator(table)
    found: dict[str, Any] = {}
    for method, space in table.search["space"].items():
        study = optuna.create_study(direction="maximize" if higher else "minimize", sampler=optuna.samplers.TPESampler(seed=0))
        for number in range(trials):
            trial = study.ask()
            values = {option: _suggested(table, trial, option, spec) for option, spec in space.items()}
            study.tell(trial, _measured(table, folder / "trials", f"{method}_trial_{number}", method, values, validator, complete))
        found[method] = {"values": study.best_params, "validator": validator, "value": study.best_value, "trials": trials}
    write_whole(folder / "tuned.json", json.dumps(found, indent=1) + "\n")


def with_tuned(table: Table, folder: Path) -> Table:
    """The table with a row below each method that was tuned."""
    path = folder / "tuned.json"
    if not (table.search and path.exists()):
        return table
    found = json.loads(path.read_text(encoding="utf-8"))
    methods: dict[str, Any] = {}
    labels = dict(table.labels)
    for name, overlay in table.methods.items():
        methods[name] = overlay
        if name in found:
            values = found[name]["values"]
            methods[f"{name}_tuned"] = merge(overlay, _overlay(values))
            shown = ", ".join(f"{option.rsplit('.', 1)[-1]} {value:.3g}" for option, value in values.items())
            labels[f"{name}_tuned"] = f"{table.label(name)}, tuned by {found[name]['validator']} ({shown})"
    return replace(table, methods=methods, labels=labels)


def _validator(table: Table) -> tuple[str, bool]:
    from tlda.metrics import VALIDATORS

    if not table.search:
        raise UserError(f"{table.path} declares no 'search': say which validator chooses, with which seeds, in which space")
    name = table.search.get("validator", "")
    if name not in VALIDATORS:
        raise UserError(f"{table.path}: '{name}' is no label-free validator{near(name, VALIDATORS)}")
    return name, bool(VALIDATORS[name].higher_is_better)


def _suggested(table: Table, trial: Any, option: str, spec: dict[str, Any]) -> Any:
    if not isinstance(spec, dict) or set(spec) - set(KINDS) or ("choices" in spec) == ("low" in spec):
        raise UserError(f"{table.path}: the space of '{option}' is {spec}: give either choices: [...], or low and high, and log: true")
    if "choices" in spec:
        return trial.suggest_categorical(option, spec["choices"])
    return trial.suggest_float(option, float(spec["low"]), float(spec["high"]), log=bool(spec.get("log", False)))


def _overlay(values: dict[str, Any]) -> dict[str, Any]:
    """The values by dotted name, such as ``model.trade_off``, as an overlay."""
    return merge(*(_nested(*option.split("."), value=value) for option, value in values.items()))


def _nested(part: str, *names: str, value: Any) -> dict[str, Any]:
    return {part: {"init_args": {names[0]: value}}} if len(names) == 1 else {part: {"init_args": _nested(*names, value=value)}}


def _measured(table: Table, folder: Path, name: str, method: str, values: dict[str, Any], validator: str, complete: Complete) -> float:
    trial = replace(
        table,
        methods={table.baseline: table.methods[table.baseline], name: merge(table.methods[method], _overlay(values))},
        seeds=table.search.get("seeds", [100]),
        after={},
    )
    cells = [cell for cell in trial.cells() if cell.method == name]
    folder.mkdir(parents=True, exist_ok=True)
    if failed := complete(cells):
        raise UserError(f"a trial of {method} with {values} failed: {next(iter(failed.values()))}")
    return statistics.fmean(_last(read_results(folder, cells), f"val/target/{validator}"))


def _last(results: dict[Any, dict[str, Any]], metric: str) -> Iterator[float]:
    for result in results.values():
        if not result["history"]:
            raise UserError("the runs of the search were not validated: leave trainer.limit_val_batches out")
        yield float(result["history"][-1][metric])
