"""``tlda sweep``: a sweep of W&B, run here by Optuna."""

from __future__ import annotations

import sys
from pathlib import Path

from tlda.errors import Arguments, UserError, positive
from tlda.writing import require_writable


def sweep(args: list[str]) -> None:
    """Run the command ``tlda sweep`` with ``args``."""
    about = "Run the trials of a sweep's file, as `wandb sweep` takes it, here and by Optuna: the same space, no server."
    parser = Arguments(prog="tlda sweep", description=about)
    parser.add_argument("file", type=Path, help="the sweep's YAML: method, metric, parameters, command")
    parser.add_argument("--trials", type=positive, default=20, help="the number of trials (default: 20)")
    parser.add_argument("--folder", type=Path, help="where the trials' runs are kept (default: runs/NAME of the file)")
    options = parser.parse_args(args)
    from tlda.bench.sweep import best, load_sweep, run_sweep

    declared = load_sweep(options.file)
    folder: Path = options.folder or Path("runs") / options.file.stem
    require_writable(folder, "--folder")
    if any(folder.glob("trial-*")):
        raise UserError(f"{folder} has trials of another sweep: name another --folder")
    found = best(declared, run_sweep(declared, options.trials, folder, fit))
    print(f"tlda: best of {options.trials}: {declared.metric} {found.value:.6g} by")
    print(" ".join(f"--{name}={value}" for name, value in found.values.items()))


def fit(args: list[str]) -> int:
    """Run ``tlda`` with ``args``, whose first is ``fit``, and return the exit code; what it refuses is said."""
    from tlda.config.names import require_names
    from tlda.config.shipped import with_files

    words = [args[0], *with_files(args[1:])]
    try:
        require_names(words)
        from tlda.commands.run import Run

        Run.from_command_line(words)
    except UserError as error:
        print(f"tlda: {error}", file=sys.stderr)
        return 1
    return 0
