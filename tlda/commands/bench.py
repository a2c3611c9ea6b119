"""``tlda bench``: run what is missing of a table, and render it."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tlda.bench.folds import fold_cells
from tlda.bench.machine import affordable
from tlda.bench.render import place
from tlda.bench.results import Results, left_out, read_results, shown
from tlda.bench.table import Cell, Table, find_table, load_table, scale_of
from tlda.documents.grid import Document, Grid
from tlda.errors import Arguments, UserError, lacking, positive
from tlda.writing import require_writable, write_text


def _arguments(args: list[str]) -> argparse.Namespace:
    parser = Arguments(prog="tlda bench", description="Run what is missing of a table, and render it as markdown, CSV, LaTeX and HTML.")
    parser.add_argument("table", type=Path, help="the table's YAML, or the name of one of tlda's, such as quickstart (`tlda list tables`)")
    parser.add_argument("--methods", help="only these methods, comma-separated")
    parser.add_argument("--tasks", help="only these tasks, comma-separated")
    parser.add_argument("--seeds", help="only these seeds, comma-separated")
    parser.add_argument("--results", type=Path, help="the folder of the result files; by default results/TABLE near the table")
    parser.add_argument("--workers", type=positive, help="cells at a time; by default one a GPU, or one a core, or what the cluster holds")
    parser.add_argument("--launcher", default="local", help="where cells run: local, ray (a Ray cluster) or slurm (a job a cell)")
    parser.add_argument("--num-cpus", type=positive, default=1, help="the cores that a cell asks of a cluster")
    parser.add_argument("--num-gpus", type=float, default=0, help="the GPUs, or the share of one, that a cell asks of a cluster")
    parser.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what a job asks of SLURM, such as partition=gpu, account, qos, mem_gb=32, constraint, setup='[module load cuda]', "
        "array_parallelism or any other of submitit's parameters; or a YAML file of them; may be repeated",
    )
    parser.add_argument("--cell-timeout", type=float, help="the seconds after which a cell is ended and counted as failed")
    parser.add_argument(
        "--tune", type=positive, metavar="N", help="first search the table's space with N trials a method, by its validator"
    )
    parser.add_argument("--verify", type=positive, metavar="N", help="run N finished cells once more, elsewhere, and print what differs")
    parser.add_argument("--seed", type=int, help="by which --verify draws the cells; by default 0")
    parser.add_argument(
        "--dry-run", action="store_true", help="check data and weights, run two steps of each method, and print what all needs"
    )
    parser.add_argument("--render", action="store_true", help="run nothing; render what is finished")
    parser.add_argument("--into", type=Path, help="a document whose place between `<!-- table NAME -->` and `<!-- end -->` is filled")
    parser.add_argument("--wandb", action="store_true", help="log every cell to W&B, in a group of the table's name")
    return parser.parse_args(args)


def bench(args: list[str]) -> None:
    """Run the command ``tlda bench`` with ``args``."""
    from tlda.bench.tune import tune, with_tuned

    options = _arguments(args)
    _require_together(options)
    if options.slurm:
        from tlda.bench.clusters import slurm_options

        options.slurm = slurm_options(options.slurm)
    options.table, options.results = find_table(options.table, options.results)
    declared = load_table(options.table, options.results)
    if declared.plot:
        from tlda.bench.plot import groups

        groups(declared)  # what cannot be drawn is said before anything is trained
    if options.into:
        place(options.into, declared.path.stem)  # nor is it said after hours that there is no place for the table
    folder = declared.results
    if options.tune:
        require_writable(folder / "trials", "--results")
        picked = declared.narrowed(options.methods, None, None).methods
        tune(declared, folder, options.tune, lambda cells: _complete(cells, folder / "trials", options), picked)
    whole = with_tuned(declared, folder)
    table = whole.narrowed(options.methods, options.tasks, options.seeds)
    every = whole.cells()
    cells = [cell for cell in every if cell.method in table.methods and cell.task in table.tasks and cell.seed in table.seeds]
    apart = fold_cells(whole, table)
    if options.verify:
        _verify(whole, cells, options)
        return
    if options.dry_run:
        _dry_run(whole, [*cells, *apart])
        return
    require_writable(folder, "--results")
    for sentence in left_out(folder, [*every, *apart]):
        print(f"tlda: {sentence}")
    failed = {} if options.render else _complete([*cells, *apart], folder, options)
    shown = _show(whole, folder, every, options.into)
    if options.wandb:
        _log(whole, folder, shown)
    _require_whole(failed, f"of {len(cells) + len(apart)} cells failed; the others are kept, the same command tries these again")


def _require_together(options: argparse.Namespace) -> None:
    """Raise :class:`UserError` where ``options`` contradict each other, or need what is not installed."""
    if options.wandb and find_spec("wandb") is None:
        raise lacking("--wandb", "wandb", "wandb")
    if options.seed is not None and not options.verify:
        raise UserError("--seed draws the cells of --verify: --seeds names those of the table")
    if options.dry_run and (unfit := [name for name in ("tune", "verify", "render", "into", "wandb") if getattr(options, name)]):
        raise UserError(f"--dry-run trains nothing to the end: leave --{unfit[0]} out")
    if options.verify and (unfit := [name for name in ("tune", "render", "into", "wandb") if getattr(options, name)]):
        raise UserError(f"--verify writes nothing: leave --{unfit[0]} out")
    if options.slurm and options.launcher != "slurm":
        raise UserError("--slurm says what a job of SLURM asks for: add --launcher slurm, or leave it out")
    if options.tune and options.render:
        raise UserError("--render runs nothing, and --tune runs a search: leave one of them out")


def _require_whole(failed: dict[str, str], what: str) -> None:
    """Raise :class:`UserError` that says ``what`` happened to the cells that ``failed``."""
    if failed:
        sentences = "\n".join(f"  {name}: {error}" for name, error in failed.items())
        raise UserError(f"{len(failed)} {what}:\n{sentences}")


def _verify(table: Table, cells: list[Cell], options: argparse.Namespace) -> None:
    """Run finished ones of ``cells`` again, and print what differs."""
    from tlda.bench.verify import verify
    from tlda.documents.grid import markdown

    found, failed = verify(table, cells, options.verify, options.seed or 0, lambda drawn, folder: _run(drawn, len(drawn), folder, options))
    Console().print(Markdown(markdown(found)))
    _require_whole(failed, "of these cells failed when they ran again")


def _dry_run(table: Table, cells: list[Cell]) -> None:
    """Print what ``cells`` need, and end with what is missing."""
    from tlda.bench.dry_run import dry_run
    from tlda.documents.grid import markdown

    shown, missing = dry_run(table, cells, lambda part: print(f"tlda: {part}", file=sys.stderr, flush=True))
    Console().print(Markdown(markdown(shown)))
    if missing:
        sentences = "\n".join(f"  {sentence}" for sentence in missing)
        raise UserError(f"{len(missing)} things are missing or other than published:\n{sentences}")


def _log(table: Table, folder: Path, shown: Document) -> None:
    """Log the tables that are ``shown`` to W&B, in a summary run."""
    from tlda.training.tracking import log_summary

    tables = {block.name: (block.header, block.rows) for block in shown if isinstance(block, Grid)}
    log_summary(folder / "logs" / "summary", table.path.stem, tables, folder / "table.html")


def _complete(cells: list[Cell], folder: Path, options: argparse.Namespace) -> dict[str, str]:
    """Run those of ``cells`` that ``folder`` has no result of, and return what failed."""
    done = read_results(folder, cells)
    missing = [cell for cell in cells if (cell.method, cell.task, cell.seed) not in done]
    if options.launcher == "local" and (emulated := sum(bool(affordable(cell)) for cell in missing)):
        print(f"tlda: {emulated} cells train in bfloat16, which this machine emulates: they take about ten times as long as elsewhere")
    return _run(missing, len(cells), folder, options)


def _run(missing: list[Cell], total: int, folder: Path, options: argparse.Namespace) -> dict[str, str]:
    if not missing:
        return {}
    from tlda.bench.launch import launcher, run_cells
    from tlda.bench.launching import Options

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=3600) as progress:
        bar = progress.add_task("cells", total=len(missing))

        def done(cell: Cell, result: dict[str, Any] | None) -> None:
            accuracy = f"{scale_of(result['metric']) * shown(result):.1f}" if result else "failed"
            progress.update(bar, advance=1, description=f"{cell.name}: {accuracy}")

        if len(missing) < total:
            progress.console.print(f"tlda: {total - len(missing)} of {total} cells are finished already")
        group = options.table.stem if options.wandb else None
        how = Options(options.workers, options.cell_timeout, group, options.num_cpus, options.num_gpus, options.slurm or {})
        return run_cells(missing, folder, launcher(options.launcher, how, len(missing)), done)


def _show(table: Table, folder: Path, cells: list[Cell], into: Path | None) -> Document:
    """Write the whole table, whatever part of it just ran, ``into`` a document too, and print it."""
    from tlda.bench.render import brief, csv_text, document, fill
    from tlda.documents.grid import latex, markdown, page

    results: Results = read_results(folder, cells)
    shown = document(table, results)
    for ending, content in {"md": markdown(shown), "tex": latex(shown), "html": page(shown), "csv": csv_text(table, results)}.items():
        write_text(folder / f"table.{ending}", content)
    if table.plot:
        from tlda.bench.plot import plot

        write_text(folder / "plot.svg", plot(table, results))
    if any(result.get("stream") for result in results.values()):
        from tlda.bench.stream_plot import stream_plot

        write_text(folder / "stream.svg", stream_plot(table, results) or "")
    text = markdown(brief(table, results))
    if into:
        fill(into, table.path.stem, text)
    Console().print(Markdown(text))
    print(f"tlda: wrote {folder}/table.md, .csv, .tex and .html" + " and plot.svg" * bool(table.plot))
    return shown
