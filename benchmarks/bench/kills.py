"""Kill `tlda bench` with its workers at random moments, run it again each time, and compare with a run that nothing disturbed.

python benchmarks/bench/kills.py            # 20 kills; kills.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from tqdm import tqdm

from tlda.bench.table import load_table

HERE = Path(__file__).resolve().parent
EXPERIMENTS = HERE.parent.parent / "experiments"
RENDERED = ("table.md", "table.csv", "table.tex", "table.html")


def table(seeds: int) -> dict[str, Any]:
    """A table of cells of seconds, on the embedded digits."""
    short: dict[str, Any] = {"trainer": {"max_epochs": 1}, "data": {"init_args": {"steps": 40}}}
    methods = {name: str(EXPERIMENTS / f"method/{name}.yaml") for name in ("source_only", "dann", "mcc")}
    return {
        "title": "Cells of seconds",
        "base": [str(EXPERIMENTS / "base/embedded.yaml"), short],
        "methods": methods,
        "tasks": {"fonts_handwritten": str(EXPERIMENTS / "task/fonts_handwritten.yaml")},
        "seeds": list(range(seeds)),
    }


class Written(NamedTuple):
    """What shows that a file is the one that was there before: its inode, the time of its last change, and its bytes."""

    inode: int
    changed: int
    content: bytes


def finished(results: Path) -> dict[str, Written]:
    """The result files, each of which must be whole."""
    found = {path.name: Written(path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()) for path in results.glob("*.json")}
    for written in found.values():
        json.loads(written.content)
    return found


def start(path: Path) -> subprocess.Popen[bytes]:
    """`tlda bench` on the table at ``path``, in a process group of its own."""
    command = [sys.executable, "-c", "import sys; from tlda.cli import main; sys.exit(main())", "bench", str(path), "--workers", "2"]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(running: subprocess.Popen[bytes], after: float) -> bool:
    """Kill the whole group ``after`` some seconds; whether it still ran."""
    try:
        running.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        return True
    return False


def undisturbed(path: Path) -> tuple[float, float]:
    """Run the whole table: the seconds until its first result, and until its end."""
    begin, first = time.perf_counter(), 0.0
    running = start(path)
    while running.poll() is None:
        time.sleep(0.05)
        if not first and finished(path.parent / "results" / path.stem):
            first = time.perf_counter() - begin
    if running.returncode:
        raise RuntimeError("the undisturbed run failed")
    return first, time.perf_counter() - begin


def disturbed(path: Path, kills: int, longest: float, rng: random.Random) -> list[dict[str, Any]]:
    """One row a kill, with what it left; raises where a finished result was lost or made again."""
    results, rows = path.parent / "results" / path.stem, []
    before: dict[str, Written] = {}
    for number in tqdm(range(kills), desc="kills"):
        moment = rng.uniform(0, longest)
        alive = kill(start(path), moment)
        after = finished(results)
        lost = [name for name in before if name not in after]
        again = [name for name in before if name in after and after[name] != before[name]]
        rows.append(
            {"kill": number + 1, "after_s": round(moment, 2), "ran": alive, "finished": len(after), "lost": lost, "run_twice": again}
        )
        before = after
    if start(path).wait():
        raise RuntimeError("the last run, which nothing disturbed, failed")
    after = finished(results)
    rows.append({"kill": None, "finished": len(after), "lost": [], "run_twice": [n for n in before if after[n] != before[n]]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=20, help="cells of each of the three methods")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name / "tiny.yaml" for name in ("undisturbed", "killed")]
        for path in paths:
            path.parent.mkdir()
            path.write_text(yaml.safe_dump(table(options.seeds)))
        first, whole = undisturbed(paths[0])
        # From before the first cell to some cells later, so that kills fall into the start, into cells, and between them.
        rows = disturbed(paths[1], options.kills, first + (whole - first) / 6, random.Random(0))
        expected, killed = (path.parent / "results/tiny" for path in paths)
        report = {
            "cells": len(load_table(paths[0]).cells()),
            "undisturbed_s": {"first_result": round(first, 1), "whole": round(whole, 1)},
            "identical": {name: (expected / name).read_bytes() == (killed / name).read_bytes() for name in RENDERED},
            "kills": rows,
        }
    (HERE / "kills.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({**report, "kills": f"{sum(row.get('ran', False) for row in rows)} of {options.kills} while it ran"}, indent=1))
    if not all(report["identical"].values()) or any(row["lost"] or row["run_twice"] for row in rows):
        raise SystemExit("a result was lost, run twice, or differs: see kills.json")


if __name__ == "__main__":
    main()
