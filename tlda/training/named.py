"""Checkpoints by the names that a user gives them, looked for before torch is imported."""

from __future__ import annotations

from pathlib import Path

from tlda.errors import UserError


def find(path: str | Path) -> Path:
    """The file of the checkpoint ``path``, which may be the folder of a run, whose last one it is then.

    Raises:
        UserError: there is none, or ``path`` is an address.
    """
    if "://" in str(path):
        raise UserError(f"a checkpoint is a file of this machine, and {path} is an address: fetch it first, from a place that you trust")
    last = Path(path) / "checkpoints" / "last.ckpt"
    if Path(path).is_dir() and not last.is_file():
        raise UserError(f"the folder {path} has no checkpoints/last.ckpt: name the folder of a run, or a checkpoint itself")
    file = last if last.is_file() else Path(path)
    if not file.is_file():
        raise UserError(f"there is no checkpoint at {path}: a run writes RUN/checkpoints/last.ckpt, and says where RUN is")
    return file
