"""``tlda report``: one page that says whether to adapt, and why."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tlda.bench.table import find_table, load_table
from tlda.config.overlays import read_yaml
from tlda.config.shipped import shipped
from tlda.errors import Arguments, UserError
from tlda.writing import require_writable, write_text


def _arguments(args: list[str]) -> argparse.Namespace:
    parser = Arguments(prog="tlda report", description="Write one page about a run or a table: should I adapt, and what did it do?")
    parser.add_argument(
        "subject", type=Path, metavar="RUN_OR_TABLE", help="the folder of a run, a table's YAML, or the folder of its results"
    )
    parser.add_argument("--before", type=Path, metavar="RUN", help="the folder of a run on the source alone, to compare a run with")
    parser.add_argument("--results", type=Path, help="the folder of a table's result files; by default results/TABLE near the table")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the page that is written; by default report.html")
    return parser.parse_args(args)


def report(args: list[str]) -> None:
    """Run the command ``tlda report`` with ``args``."""
    options = _arguments(args)
    require_writable(options.out.parent, "--out")
    if not options.subject.exists() and str(options.subject) in shipped("tables"):
        options.subject, options.results = find_table(options.subject, options.results)
    path = table_of(options.subject)
    table = load_table(path, options.results) if path else None
    if table and options.before:
        raise UserError("--before is for a run: a table has its own baseline; leave it out")
    if options.results and not table:
        raise UserError("--results is for a table: a run's folder is its own; leave it out")
    if table:
        from tlda.bench.of_table import of_table
        from tlda.bench.tune import with_tuned

        found = of_table(with_tuned(table, table.results))
    else:
        from tlda.report.of_run import of_run
        from tlda.training.quiet import hush

        hush()
        found = of_run(options.subject, options.before)
    from tlda.report.page import page

    write_text(options.out, page(found))
    if table:
        log_to_wandb(options.out, table.results, group=table.path.stem, name=f"{table.path.stem}-report")
    else:
        log_to_wandb(options.out, options.subject)
    print(f"tlda: should I adapt? {found.verdict.answer}: {found.verdict.because}")
    print(f"tlda: wrote {options.out}")


def table_of(subject: Path) -> Path | None:
    """The YAML of the table that ``subject`` is, or is the results of; None where it is a run.

    Raises:
        UserError: it is neither.
    """
    if subject.is_file() and subject.suffix in (".yaml", ".yml") and _declares_table(subject):
        return subject
    if (subject / "checkpoints").is_dir() or (subject / "config.yaml").is_file():
        return None
    above = subject.resolve().parent.parent
    for place in (above / "tables" / f"{subject.resolve().name}.yaml", above / f"{subject.resolve().name}.yaml"):
        if subject.is_dir() and place.is_file():
            return place
    raise UserError(
        f"{subject} is neither a run nor a table: name the folder RUN that `tlda fit` made (it has RUN/checkpoints), a table's YAML, "
        "or the folder of its results"
    )


def _declares_table(path: Path) -> bool:
    declared = read_yaml(path)
    return isinstance(declared, dict) and {"methods", "tasks"} <= declared.keys()


def log_to_wandb(path: Path, folder: Path, **new: str) -> None:
    """Log the page at ``path`` to W&B where what lies in ``folder`` was: to its run, or to a ``new`` one (its group and name)."""
    from tlda.training.tracking import closed, ready

    logged = sorted(folder.rglob("wandb/*run-*-*"))
    if not logged or ready() is None:
        return
    import wandb

    which: dict[str, Any] = dict(new) or {"id": logged[-1].name.rsplit("-", 1)[1], "resume": "allow"}
    with closed():
        wandb.init(project="tlda", dir=str(folder), **which).log({"report": wandb.Html(str(path), inject=False)})
