"""Arrays that are slow to make, kept on disk: whole or not at all, the least recently used first to go.

Each entry carries a checksum of its name, of its type and shape, and of every byte: what is not as it was written is made again.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from tlda.data.arrays import Images, Splits
from tlda.errors import UserError, warn
from tlda.writing import cache_folder

LIMIT = "20GB"
"""The size limit of the cache where ``TLDA_CACHE_LIMIT`` gives none."""

UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
PARTIAL, USED = ".part", ".used"
CHECKSUM = "checksum"
LARGE = 2**28
"""From this many bytes on, an array is not read as a whole again once it was found right, until its file changes."""

DAY = 86400.0


def cached(name: str, make: Callable[[], Splits]) -> Splits:
    """What the cache holds under ``name``, made where it holds none; without a folder to write to, made each time."""
    return _unpack(stored(name, lambda: {n: (s.images, s.labels) for n, s in make()._asdict().items() if s is not None}))


def stored(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The tensors by name that the cache holds under ``name``, made where it holds none or a damaged file."""
    path = cache_folder() / f"{name}.pt"
    if path.is_file():
        try:
            found = dict(torch.load(path, weights_only=True))
            if found.pop(CHECKSUM, None) != _checksum(name, found):
                raise ValueError("its checksum is another")
            _touch(path)
            return found
        except Exception as error:  # whatever a damaged file raises, making it again heals it
            _warn_damaged(path, error)
    made = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, lambda file: torch.save(made | {CHECKSUM: _checksum(name, made)}, file))
        prune(size_limit(), path)
    except (OSError, RuntimeError) as error:  # torch.save has an error of its own for a full disk
        _warn_unwritable(path, error)
    return made


def _checksum(name: str, arrays: dict[str, Any]) -> str:
    """The hash of all that an entry called ``name`` holds: tensors, or tuples of some."""
    total = sha256(name.encode())
    for key, value in sorted(arrays.items()):
        for tensor in value if isinstance(value, (tuple, list)) else (value,):
            total.update(f"\n{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            total.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def mapped(name: str, rows: int, parts: Callable[[], Iterable[Tensor]]) -> Tensor:
    """The array that the cache holds under ``name``, as a memory map that is not to be written to.

    Where it holds none, or one that is not as it was written, one process makes it, and the others wait for it. Without a folder to write
    to, or with a full disk, it is made in memory.

    Args:
        name: ``FOLDER/NAME`` without a dot, where all that decides the array is in NAME.
        rows: its length.
        parts: what makes it: its rows in order, some at a time.
    """
    path = cache_folder() / f"{name}.npy"
    if (found := _open(name, path, rows)) is not None:
        return found
    try:
        lock = _lock(path)
    except OSError as error:
        _warn_unwritable(path, error)
        return torch.cat([*parts()])
    try:
        # Another process may have made it meanwhile.
        found = _open(name, path, rows)
        if found is None:
            found = _made(name, path, rows, parts)
    finally:
        lock.release()
    prune(size_limit(), path)
    return found


def _made(name: str, path: Path, rows: int, parts: Callable[[], Iterable[Tensor]]) -> Tensor:
    """The array of ``parts``, written to ``path`` and mapped, or in memory where it cannot be written."""
    found = None
    try:
        _write(path, lambda file: _write_parts(name, file, rows, parts()))
        found = _open(name, path, rows)
    except OSError as error:
        _warn_unwritable(path, error)
    return torch.cat([*parts()]) if found is None else found


def slug(name: str) -> str:
    """``name`` as a part of an entry's name."""
    return re.sub(r"[^\w+-]+", "_", name)[:80]


def _lock(path: Path) -> FileLock:
    """The lock of whoever makes ``path``, held; a killed process lets it go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=2)
    except Timeout:
        print(f"tlda: waiting for another process, which makes {path.name}", file=sys.stderr)
        lock.acquire()
    return lock


def _open(name: str, path: Path, rows: int) -> Tensor | None:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if len(array) != rows:
            raise ValueError(f"{len(array)} rows, not {rows}")
        _verify(name, path, array)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Exception as error:  # whatever a damaged file raises, making it again heals it
        _warn_damaged(path, error)
        return None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writ")
        return torch.from_numpy(array)


def _verify(name: str, path: Path, array: Any) -> None:
    """Note that the entry was used, and raise a ValueError where its checksum, which stands after the array, is another."""
    used = path.with_suffix(USED)
    state = path.stat()
    # The last time is that of the file's entry, which a program that sets the others back cannot set.
    right = f"{state.st_ino} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
    with contextlib.suppress(OSError):
        if array.nbytes >= LARGE and used.read_text() == right:
            _touch(used)
            return
    with path.open("rb") as file:
        file.seek(array.offset + array.nbytes)
        kept = file.read()
    total = _begun(name, array.dtype, array.shape)
    total.update(array.reshape(-1).view(np.uint8).data)
    if total.digest() != kept:
        raise ValueError("its checksum is another" if kept else "it has no checksum")
    with contextlib.suppress(OSError):  # a cache that one may only read
        _write(used, lambda file: file.write(right.encode()))


def _begun(name: str, dtype: Any, shape: tuple[int, ...]) -> Any:
    """The hash of an array's name, type and shape, to which its bytes are to be added."""
    return sha256(f"{name} {np.lib.format.dtype_to_descr(dtype)} {tuple(shape)}\n".encode())


def _write(path: Path, write: Callable[[Any], None]) -> None:
    """Write ``path`` into a file of one's own, then rename it: whoever reads sees one whole file or none. Its folder is there."""
    partial = path.with_name(f"{path.stem}.{uuid4().hex}{PARTIAL}")
    try:
        with partial.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write_parts(name: str, file: Any, rows: int, parts: Iterable[Tensor]) -> None:
    iterator = iter(parts)
    first = next(iterator)
    dtype, shape = first.numpy().dtype, (rows, *first.shape[1:])
    np.lib.format.write_array_header_1_0(file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    total = _begun(name, dtype, shape)
    # Not through a memory map, whose process a full disk would kill.
    written = 0
    for part in chain([first], iterator):
        contents = part.contiguous().numpy().data
        file.write(contents)
        total.update(contents)
        written += len(part)
    if written != rows:
        raise RuntimeError(f"{written} rows were made, not {rows}")
    file.write(total.digest())


def _touch(path: Path) -> None:
    """Note that ``path`` was used now."""
    with contextlib.suppress(OSError):  # a cache that one may only read
        os.utime(path)


def _unpack(arrays: dict[str, tuple[Tensor, Tensor]]) -> Splits:
    return Splits(Images(*arrays["train"]), Images(*arrays["test"]) if "test" in arrays else None)


def _warn_damaged(path: Path, error: Exception) -> None:
    warn(f"{path} is damaged ({error}); it is made again")


def _warn_unwritable(path: Path, error: Exception) -> None:
    warn(f"the cache {path.parent} cannot be written ({error}); set TLDA_CACHE to a folder that can")


# What there is, and what goes


class Entry(NamedTuple):
    """A file of the cache, its bytes, and the seconds since it was last used."""

    path: Path
    size: int
    unused: float


def entries() -> list[Entry]:
    """All that the cache holds, the least recently used first."""
    now = time.time()
    found = [Entry(path, state.st_size, now - _last_use(path, state)) for path, state in _files(".pt", ".npy")]
    return sorted(found, key=lambda entry: entry.unused, reverse=True)


def _last_use(path: Path, state: os.stat_result) -> float:
    with contextlib.suppress(OSError):
        return max(state.st_mtime, path.with_suffix(USED).stat().st_mtime)
    return state.st_mtime


def _files(*endings: str) -> Iterator[tuple[Path, os.stat_result]]:
    for path in cache_folder().rglob("*"):
        if path.suffix in endings:
            with contextlib.suppress(FileNotFoundError):  # another process dropped it
                yield path, path.stat()


def size_limit() -> int:
    """The most bytes that the cache holds: ``TLDA_CACHE_LIMIT``."""
    return parse_size(os.environ.get("TLDA_CACHE_LIMIT") or LIMIT, "TLDA_CACHE_LIMIT")


def parse_size(text: str, place: str) -> int:
    """The bytes of a size such as ``500MB`` or ``1.5 GB``."""
    match = re.fullmatch(r"([\d.]+)\s*([KMGT]?B)?", text.strip().upper())
    try:
        return int(float(match[1]) * UNITS[match[2] or ""]) if match else int(text)
    except (ValueError, KeyError) as error:
        raise UserError(f"{place} is '{text}': it is a size such as 20GB or 500MB") from error


def prune(limit: int, keep: Path | None = None) -> list[Entry]:
    """Drop what is least recently used until the rest is within ``limit`` bytes, whatever it is ``keep``, and what killed writers left."""
    found = entries()
    total = sum(entry.size for entry in found)
    dropped = []
    for entry in found:
        if total > limit and entry.path != keep:
            entry.path.unlink(missing_ok=True)
            entry.path.with_suffix(USED).unlink(missing_ok=True)
            total -= entry.size
            dropped.append(entry)
    _sweep()
    return dropped


def _sweep() -> None:
    """Remove what killed writers left: the half-written files of the locks that nobody holds, and those that are old."""
    for path in cache_folder().rglob("*.lock"):
        with contextlib.suppress(Timeout, OSError), FileLock(path, timeout=0):
            for partial in path.parent.glob(f"{path.stem}.*{PARTIAL}"):
                partial.unlink(missing_ok=True)
            if not path.with_suffix(".npy").exists():
                path.unlink(missing_ok=True)
    for partial, state in _files(PARTIAL):
        if time.time() - state.st_mtime > DAY:
            partial.unlink(missing_ok=True)
