"""The one writer of files: what is written is whole or not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from uuid import uuid4

from tlda.errors import UserError


def cache_folder() -> Path:
    """``TLDA_CACHE``, a folder of the cache's own, else ``~/.cache/tlda``."""
    return Path(os.environ.get("TLDA_CACHE") or Path.home() / ".cache" / "tlda")


def require_writable(folder: Path, option: str) -> None:
    """Make ``folder``, or raise a :class:`UserError` that names ``option``, before anything is computed in vain."""
    probe = folder / f".writable.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write into {folder} ({error.strerror}): free space, or name another place with {option}") from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, by :func:`write_bytes`."""
    # A lone surrogate, as of a file name that is no UTF-8, is written as an escape and not as an error.
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes, sync: bool = True) -> None:
    """Write ``content`` to ``path``, by a rename: whole or, with a full disk or a kill, not at all.

    Args:
        path: the file; where it is a link, the file that it points to.
        content: what it holds then.
        sync: whether it also outlives a loss of power, which takes a small file a hundred times as long.

    Raises:
        UserError: it cannot be written.
    """
    place = Path(os.path.realpath(path))
    partial = place.with_name(f"{place.name[:50]}.{uuid4().hex[:12]}.partial")
    try:
        if path.exists() and not path.is_file():  # a pipe, or /dev/stdout, cannot be replaced
            path.write_bytes(content)
            return
        with partial.open("wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if place.exists():
            shutil.copymode(place, partial)
        partial.replace(place)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): free space there, and run the same command again") from error
    finally:
        partial.unlink(missing_ok=True)
