"""Give result files the keys of today's code, where a change renamed what keys are made of and changed no result.

python benchmarks/bench/rekey.py COMMIT

COMMIT is one under whose code the committed files count. A file gets the new key of its cell if it has the cell's old one, and if the lines
that decide the cell's result are the same under both; the script ends at the first cell whose lines differ, and changes nothing then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPO = Path(__file__).parents[2]

DUMP = """
import json, sys
from pathlib import Path
from tlda.bench.table import load_table
from tlda.bench.tune import with_tuned
from tlda.config.protocol import lines
found = {}
for path in sorted(Path("benchmarks/tables").glob("*.yaml")):
    table = load_table(path)
    table = with_tuned(table, table.results)
    for cell in table.cells():
        found[f"{path.stem}/{cell.name}"] = [cell.key, lines(cell.resolved)]
json.dump(found, sys.stdout, sort_keys=True)
"""


def cells(tree: Path) -> dict[str, tuple[str, dict[str, object]]]:
    """By TABLE/CELL, the key and the decisive lines under the code of ``tree``."""
    done = subprocess.run(
        [sys.executable, "-c", DUMP], cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return {name: (key, lines) for name, (key, lines) in json.loads(done.stdout).items()}


def main() -> None:
    """Rewrite the keys."""
    with tempfile.TemporaryDirectory() as folder:
        old_tree = Path(folder) / "old"
        subprocess.run(["git", "worktree", "add", "--detach", "-q", old_tree, sys.argv[1]], cwd=REPO, check=True)
        try:
            old, new = cells(old_tree), cells(REPO)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", old_tree], cwd=REPO, check=True)
    changes: dict[Path, str] = {}
    for name, (key, lines) in old.items():
        path = REPO / "benchmarks" / "results" / f"{name}.json"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        if f'"key": "{key}"' not in text:
            continue
        if name not in new or new[name][1] != lines:
            sys.exit(f"{name}: another cell now than at {sys.argv[1]}; nothing was changed")
        changes[path] = text.replace(f'"key": "{key}"', f'"key": "{new[name][0]}"')
    for path, text in changes.items():
        path.write_text(text, encoding="utf-8")
    kept = sum(path.name != "tuned.json" for path in (REPO / "benchmarks" / "results").glob("*/*.json")) - len(changes)
    print(f"{len(changes)} files have their new key; {kept} others are of no cell")


if __name__ == "__main__":
    main()
