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


def write_bytes(path: Path, content: bytes, sync: bool = True) -> None:
    """Write ``content`` to ``path``, by a rename: whole or, with a full disk or a kill, not at all.

    Args:
        path: the file.
        content: what it holds then.
        sync: whether it also outlives a loss of power, which takes a small file a hundred times as long.

    Raises:
        UserError: it cannot be written.
    """
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): free space there, and run the same command again") from error
    finally:
        partial.unlink(missing_ok=True)
