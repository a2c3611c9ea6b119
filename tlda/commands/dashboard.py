"""``tlda dashboard``: a workspace at W&B, made."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tlda.errors import Arguments, UserError
from tlda.writing import require_writable, write_text

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Workspace


def dashboard(args: list[str]) -> None:
    """Run the command ``tlda dashboard`` with ``args``."""
    options = _arguments(args)
    from tlda.bench.workspace import of_runs, of_table, plain, workspace

    if options.subject.is_dir():
        subject = of_runs(options.subject)
    else:
        from tlda.bench.table import find_table, load_table
        from tlda.bench.tune import with_tuned

        path, results = find_table(options.subject, options.results)
        table = load_table(path, results)
        subject = of_table(with_tuned(table, table.results))
    made = workspace(subject, options.entity or "", options.project)
    if options.json:
        require_writable(options.json.parent, "--json")
        write_text(options.json, plain(made))
        print(f"tlda: wrote {options.json}")
        return
    made.entity = options.entity or _default_entity()
    print(f"tlda: the workspace is at {_saved(made)}")


def _arguments(args: list[str]) -> argparse.Namespace:
    parser = Arguments(
        prog="tlda dashboard",
        description="Make a workspace at W&B: table, curves by method, validators beside the oracle, confusion and features.",
    )
    parser.add_argument("subject", metavar="TABLE|RUNS", type=Path, help="a table, as `tlda bench` takes it, or a folder of runs")
    parser.add_argument("--results", type=Path, help="the folder of the table's result files, as `tlda bench` has it")
    parser.add_argument("--entity", default=os.environ.get("WANDB_ENTITY"), help="the user or team at W&B; by default the key's")
    project = os.environ.get("WANDB_PROJECT", "tlda")
    parser.add_argument("--project", default=project, help="the project that the runs are in (default: tlda)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the workspace into FILE, and call no server")
    return parser.parse_args(args)


def _default_entity() -> str:
    """The entity that W&B has for the key."""
    import wandb

    with _refused("name an entity"):
        entity = wandb.Api().default_entity
    if not entity:
        raise UserError("W&B names no entity for the key: give --entity, your user name or team there")
    return str(entity)


def _saved(made: Workspace) -> str:
    """Send the workspace ``made``, and return its address."""
    with _refused("take the workspace"):
        made.save()
        return str(made.url)


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Say in one sentence that W&B does not do ``what`` within the block, and what to do."""
    try:
        yield
    except Exception as error:  # of its own many kinds
        told = " ".join(str(error).split())[:200]
        raise UserError(f"W&B does not {what} ({told}): `tlda doctor` says how it is reached, and --json FILE needs no server") from error
