"""``tlda show``: what a run or a checkpoint is, as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tlda.errors import Arguments, UserError

WIDTH = 14


def show(args: list[str]) -> None:
    """Run the command ``tlda show`` with ``args``. Nothing that a checkpoint names is imported."""
    parser = Arguments(
        prog="tlda show", description="Say what a run or a checkpoint is: method, data, task, seed, protocol, and what was measured."
    )
    parser.add_argument("subject", metavar="RUN|CHECKPOINT", type=Path, help="the folder of a run, or a checkpoint")
    subject: Path = parser.parse_args(args).subject
    for name, value in shown(subject):
        lines = textwrap.wrap(str(value), 110, break_long_words=False) or [""]
        print(f"{name:<{WIDTH}} " + f"\n{' ' * (WIDTH + 1)}".join(lines))


def shown(subject: Path) -> Iterator[tuple[str, object]]:
    """The lines that say what the run or checkpoint at ``subject`` is, by name.

    Raises:
        UserError: it is neither, or the checkpoint is not one of tlda's.
    """
    made, folder, weights = described(subject)
    yield "run", folder or "unknown: the checkpoint is not in RUN/checkpoints"
    yield "checkpoint", weights or "none was kept"
    yield "seed", made.get("seed", "unknown")
    yield "protocol", made.get("protocol", "none: it was made in Python")
    yield "task", task(made.get("task"))
    for part in ("model", "data", "trainer"):
        yield from options(part, made)
    yield from numbers(folder) if folder else ()


def described(subject: Path) -> tuple[dict[str, Any], Path | None, str]:
    """What the run or checkpoint at ``subject`` was made from, the folder of the run, and what the checkpoint is."""
    from tlda.config.overlays import read_yaml
    from tlda.config.protocol import with_protocol
    from tlda.training import checkpoint
    from tlda.training.named import find

    if (subject / "config.yaml").is_file() and not (subject / "checkpoints" / "last.ckpt").is_file():
        config: Any = read_yaml(subject / "config.yaml")
        if not all(isinstance(config, dict) and isinstance(config.get(part), dict) for part in ("model", "data", "trainer")):
            raise UserError(f"{subject / 'config.yaml'} is not the configuration of a run: name a folder that `tlda fit` made")
        made = with_protocol({"model": config["model"], "data": config["data"]}, config["trainer"])
        return {"seed": config.get("seed_everything"), **made}, subject, ""
    path = find(subject)
    found = checkpoint.read(path)
    if checkpoint.KEY not in found:
        raise UserError(f"{path} was not written by tlda: name the folder of a run, or a checkpoint of one")
    weights: dict[str, Any] = found["state_dict"]
    size = sum(value.numel() for name, value in weights.items() if name.startswith("network."))
    told = f"{path}, of epoch {found.get('epoch', 0) + 1}, with {size:,} numbers in its network"
    return checkpoint.formed(path, found), path.parent.parent if path.parent.name == "checkpoints" else None, told


def task(description: dict[str, Any] | None) -> str:
    """The line of a task, which is given as plain data."""
    if description is None:
        return "that of the data"
    classes = description["init_args"].get("classes") or []
    name = description["class_path"].rpartition(".")[2]
    return f"{name} of {len(classes)} classes: {', '.join(map(str, classes))}" if classes else name


def options(part: str, made: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """The options of ``part`` that are not null, each as it is given on the command line."""
    from tlda.config.protocol import flat

    lines = [*flat(f"--{part}", made[part])] if part in made else [(f"--{part}", made.get("unknown", {}).get(part, "unknown"))]
    for number, (name, value) in enumerate(lines):
        yield "" if number else part, value if name == f"--{part}" else f"{name} {value}"


def numbers(folder: Path) -> Iterator[tuple[str, object]]:
    """The last value of each metric of the test, or, of a run without one, of the validation."""
    from tlda.report.seen import read_metrics

    rows = read_metrics(folder / "metrics.csv")
    last = {name: value for row in rows for name, value in row.items() if value}
    for stage in ("test/", ("val/", "oracle/")):
        if measured := {name: value for name, value in last.items() if name.startswith(stage)}:
            yield "numbers", f"{folder / 'metrics.csv'}, the last of each"
            yield from (("", f"{name:<38} {rounded(value)}") for name, value in sorted(measured.items()))
            return
    yield "numbers", f"none in {folder / 'metrics.csv'}"


def rounded(value: str) -> str:
    """A number with four digits after the point; other text as it is."""
    try:
        return f"{float(value):.4f}"
    except ValueError:
        return value
