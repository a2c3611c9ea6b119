"""Runs that begin with a checkpoint. They use its options; a different one must be asked for, and is printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlda.config.given import configurations, last_of, name_alike, names_of, options
from tlda.config.protocol import class_paths, differences, lines
from tlda.errors import UserError
from tlda.training import checkpoint
from tlda.training.named import find

if TYPE_CHECKING:
    from jsonargparse import Namespace

PARTS = {"model": "model", "data": "data", "seed": "seed_everything"}
"""The parts of a checkpoint's recipe, each with the option of the command line that it belongs to."""


def last_checkpoint(args: Sequence[str]) -> Path | None:
    """The checkpoint that a command names, in an option or a file. For the folder of a run it is the last one.

    Raises:
        UserError: there is none, or its name is an address.
    """
    named = last_of("ckpt_path", args)
    return None if named is None else find(named)


def with_checkpoint(args: Sequence[str], path: Path) -> list[str]:
    """Put the options that the checkpoint at ``path`` was trained with before ``args``, so that those of the command win."""
    files = [config for _, config in configurations(args)]
    named = [value for name, value in options(args) if name not in ("c", "config", "ckpt_path") and value]
    found = checkpoint.recipe(path, [*named, *(p for config in files for p in class_paths(config))])
    if "model" in found:
        found["model"]["init_args"]["init_from"] = None  # its weights are in the checkpoint, and the file may be gone
    if "model" in found and args[0] != "fit":  # a run that goes on says what it began with
        found["model"] = checkpoint.without_files(found["model"])
    for name, _ in options(args):
        if name.endswith("+"):
            # The command appends to its own list, which the checkpoint's already has in it.
            _forget(found, name.rstrip("+").split("."))
    kept = found.get("trainer", {})
    trainer = kept if args[0] == "fit" else {name: kept[name] for name in ("precision",) if name in kept}
    before = [f"--{option}={json.dumps(found[part])}" for part, option in PARTS.items() if part in found]
    before += [f"--trainer.{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in trainer.items()]
    return [args[0], *before, *args[1:], f"--ckpt_path={path}"]


def _forget(found: dict[str, Any], names: list[str]) -> None:
    """Set the option that ``names`` lead to, of the classes in ``found``, to None."""
    part: Any = found.get(names[0])
    for name in names[1:-1]:
        part = (part or {}).get("init_args", {}).get(name)
    holds = part if names[0] == "trainer" else (part or {}).get("init_args")
    if holds and names[-1] in holds:
        holds[names[-1]] = None


def require_same_run(path: Path, args: Sequence[str], config: dict[str, Any]) -> None:
    """Print the decisive options in which ``config`` differs from the run of the checkpoint at ``path``, which is resumed.

    Raises:
        UserError: one differs by a file of ``args``, and no option of the command asks for it.
    """
    found = checkpoint.recipe(path, list(class_paths(config)))
    if not {"model", "data", "trainer"} <= found.keys():
        return
    before, now = (_lines(parts) for parts in (found, config))
    asked = [name.rstrip("+") for name, value in options(args) if name not in ("c", "config")]
    in_files = [name for _, file in configurations(args) for name in names_of(file)]
    changes = differences(now, before)
    for name in changes:
        if not name_alike(name, asked) and name_alike(name, in_files):
            value = now.get(name, "null")
            raise UserError(
                f"{path} goes on, which was trained with {name} {before.get(name, 'off')}, not {value} as in the configuration: leave the "
                f"file out, or ask for the other by --{name} {value}"
            )
    if changes:
        print(f"tlda: the run continues with other options than it began with: {'; '.join(changes.values())}")


def _lines(parts: dict[str, Any]) -> dict[str, Any]:
    found = lines({"model": parts["model"], "data": parts["data"], "trainer": parts["trainer"]})
    return {name: value for name, value in found.items() if name not in ("protocol", "model.init_from")}


def require_unfinished(path: Path, trainer: Namespace) -> None:
    """Raise :class:`UserError` where the run of the checkpoint at ``path`` has done all that the options ``trainer`` ask for."""
    state = checkpoint.read(path)
    try:
        done = int(state.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {}).get("processed", 0))
        steps = int(state.get("global_step", 0))
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} does not say how far its run has come: it is damaged; name another checkpoint") from error
    for name, reached, wanted in (("max_epochs", done, trainer["max_epochs"]), ("max_steps", steps, trainer["max_steps"])):
        if wanted and 0 < wanted <= reached:
            raise UserError(f"the run of {path} has ended: its {name[4:]} are {reached}, and --trainer.{name} is {wanted}; ask for more")
