"""Measure what `tlda bench` takes beside the training itself: many cells of about a second, on two workers.

python benchmarks/bench/overhead.py            # 200 cells; overhead.json
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from tlda.bench.table import load_table

HERE = Path(__file__).resolve().parent
EXPERIMENTS = HERE.parent.parent / "experiments"
WORKERS = 2


def table(cells: int, steps: int) -> dict[str, Any]:
    """DANN on the embedded digits, one seed a cell."""
    short: dict[str, Any] = {"trainer": {"max_epochs": 1}, "data": {"init_args": {"steps": steps}}}
    return {
        "title": "Overhead",
        "baseline": "dann",
        "base": [str(EXPERIMENTS / "base/embedded.yaml"), short],
        "methods": {"dann": str(EXPERIMENTS / "method/dann.yaml")},
        "tasks": {"fonts_handwritten": str(EXPERIMENTS / "task/fonts_handwritten.yaml")},
        "seeds": list(range(cells)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_text(yaml.safe_dump(table(options.cells, options.steps)))
        command = [sys.executable, "-c", "import sys; from tlda.cli import main; sys.exit(main())", "bench", str(path)]
        begin = time.perf_counter()
        subprocess.run([*command, "--workers", str(WORKERS)], check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - begin
        written = sorted((p.stat().st_mtime, json.loads(p.read_text())["seconds"]) for p in load_table(path).results.glob("*.json"))
    training = sum(seconds for _, seconds in written)
    # From the first results on, the workers are warm: what they take a cell, less what training takes.
    warm = written[WORKERS:]
    between = WORKERS * (written[-1][0] - written[WORKERS - 1][0]) / len(warm)
    report = {
        "cells": len(written),
        "workers": WORKERS,
        "machine": f"{platform.machine()}, torch {torch.__version__}",
        "training_s_per_cell": round(training / len(written), 3),
        "overhead_s_per_cell_warm": round(between - sum(seconds for _, seconds in warm) / len(warm), 3),
        "wall_s": round(wall, 1),
        "wall_over_training": round(wall * WORKERS / training, 3),
    }
    (HERE / "overhead.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
