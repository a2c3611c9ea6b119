"""A workspace at W&B for the runs of a table or of a folder: what one would put together by hand, through ``wandb-workspaces``."""

from __future__ import annotations

import importlib
import json
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tlda.bench.render import brief
from tlda.bench.results import read_results
from tlda.bench.selection import SOURCE
from tlda.bench.table import METRIC, Table, scale_of
from tlda.config.overlays import read_yaml
from tlda.documents.grid import Grid, markdown
from tlda.errors import UserError
from tlda.metrics import VALIDATORS
from tlda.report.seen import read_metrics
from tlda.training.tracking import flat_keys

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace

RUNS = 200
"""How many runs a curve or a list has at most; W&B's own limit is 10."""


COLUMNS = ("method", "transfer", "seed", "setting", "protocol")
"""The keys of the configuration that the list of runs shows."""

PICTURES = {"confusion": "Confusion on the target", "features": "Features", "samples": "Images, as read and augmented"}
"""The pictures that are shown side by side, with their titles."""


class Subject(NamedTuple):
    """What a workspace shows: its name, the values of one key of the configuration that its runs have, a table, and the metric of it."""

    name: str
    key: str
    values: list[str]
    table: str
    metric: str


def of_table(table: Table) -> Subject:
    """The runs of ``table``, as far as they are finished."""
    results = read_results(table.results, table.cells())
    text = markdown(brief(table, results)) if results else f"# {table.title}\n\nNo run is finished: run `tlda bench`, and this again."
    return Subject(table.path.stem, "table", [table.path.stem], text, table.metric if isinstance(table.metric, str) else METRIC)


def of_runs(folder: Path) -> Subject:
    """The runs that ``tlda fit`` has finished below ``folder``.

    Raises:
        UserError: there are none.
    """
    found: dict[str, dict[str, list[float]]] = {}
    metric = ""
    for path in sorted(folder.rglob("config.yaml")):
        values = {name: value for row in read_metrics(path.parent / "metrics.csv") for name, value in row.items() if value}
        metric = metric or next((name for name in values if name.startswith("test/target/")), "")
        config: Any = read_yaml(path)
        if metric in values:
            method, transfer = str(flat_keys(config)["method"]), path.parents[2].name
            found.setdefault(method, {}).setdefault(transfer, []).append(scale_of(metric) * float(values[metric]))
    if not found:
        raise UserError(f"there is no finished run below {folder}: name a table, or a folder that `tlda fit` has written runs into")
    transfers = sorted({transfer for row in found.values() for transfer in row})
    rows = [[method, *(_spread(row.get(transfer, [])) for transfer in transfers)] for method, row in found.items()]
    title = f"{metric}, mean ± standard deviation over runs"
    return Subject(folder.name, "transfer", transfers, markdown([title, Grid(["method", *transfers], rows)]), metric)


def _spread(values: list[float]) -> str:
    """The mean of ``values``, and their standard deviation where there are several."""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}" if values else "–"


def workspace(subject: Subject, entity: str, project: str) -> Workspace:
    """The workspace of ``subject``, which :func:`plain` gives as JSON and whose ``save()`` sends it.

    Its sections are the table of methods × transfer tasks, the metric by method, the curves by method, the validators beside the
    oracle, the pictures side by side, and the predictions.

    Raises:
        UserError: wandb-workspaces is not installed.
    """
    ws, wr = _library("wandb_workspaces.workspaces"), _library("wandb_workspaces.reports.v2")
    sections = []
    for name, columns, rows, panels in _sections(wr, subject):
        layout = ws.SectionLayoutSettings(columns=columns, rows=rows)
        sections.append(ws.Section(name=name, panels=_placed(name, panels), is_open=True, layout_settings=layout))
    runs = ws.RunsetSettings(
        filters=[ws.Config(subject.key).isin(subject.values)],
        groupby=[ws.Config("transfer"), ws.Config("method")],
        pinned_columns=[f"summary:{subject.metric}", *(f"config:{name}" for name in COLUMNS)],
    )
    settings = ws.WorkspaceSettings(x_axis="epoch", max_runs=RUNS)
    return ws.Workspace(entity=entity, project=project, name=subject.name, sections=sections, settings=settings, runset_settings=runs)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError("tlda dashboard needs wandb-workspaces, which is not installed: pip install 'tlda[dashboard]'") from error


def _sections(wr: Any, subject: Subject) -> Iterator[tuple[str, int, int, list[Any]]]:
    """The name of each section, its columns and rows, and its panels."""
    oracle = subject.metric.replace("test/", "oracle/", 1)
    by_method = {"groupby": wr.Config("method"), "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}

    def curve(title: str, *names: str, x: str = "epoch") -> object:
        return wr.LinePlot(title=title, x=x, y=list(names), max_runs_to_show=RUNS, **by_method)

    yield "Methods and transfer tasks", 1, 1, [wr.MarkdownPanel(markdown=subject.table)]
    bars = wr.BarPlot(title=f"{subject.metric}, mean and standard deviation", metrics=[subject.metric], max_runs_to_show=RUNS, **by_method)
    yield "By method", 2, 1, [bars, curve("oracle, on the target", oracle)]
    steps = [curve(name, name, x="trainer/global_step") for name in ("train/loss", "train/task", "lr/head")]
    yield "Curves", 3, 2, [curve("on the source", SOURCE.metric), curve("on the target (oracle)", oracle), *steps]
    validators = [curve(validator.label, f"val/target/{name}") for name, validator in VALIDATORS.items()]
    yield "Validators beside the oracle", 3, 3, [curve("oracle: what they are to find", oracle), *validators]
    pictures = [
        wr.MediaBrowser(title=title, media_keys=[f"pictures/{name}"], num_columns=2, mode="gallery", gallery_axis="run")
        for name, title in PICTURES.items()
    ]
    yield "Confusion and features", 2, 2, pictures
    yield "Predictions", 1, 1, [wr.WeavePanelSummaryTable(table_name="tables/predictions")]


def _placed(section: str, panels: list[Any]) -> list[Any]:
    """The ``panels`` with ids that are the same each time, so that two workspaces can be compared."""
    for number, panel in enumerate(panels):
        panel._id = re.sub(r"\W+", "-", f"{section}-{number}".lower())
    return panels


def plain(made: Workspace) -> str:
    """A :func:`workspace` as the JSON that W&B gets."""
    view = made._to_model()
    spec = json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))
    return json.dumps({"project": view.project, "displayName": view.display_name, "spec": spec}, indent=1, ensure_ascii=False) + "\n"
