"""Folders that results go into."""

from __future__ import annotations

import os
from pathlib import Path

from tlda.errors import UserError


def require_writable(folder: Path, option: str) -> None:
    """Make ``folder``, or raise a :class:`UserError` that names ``option``, before anything is computed in vain."""
    probe = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write into {folder} ({error.strerror}): free space, or name another place with {option}") from error
