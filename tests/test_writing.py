"""Files are written whole or not at all."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from tests.conftest import REPO
from tlda.bench.render import place
from tlda.errors import UserError
from tlda.writing import write_bytes, write_text


def test_a_file_is_replaced_whole_with_its_mode_and_behind_its_link(tmp_path: Path) -> None:
    path, link = tmp_path / "kept.v1.md", tmp_path / "link.md"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_text(link, "new ü")
    assert path.read_text(encoding="utf-8") == "new ü"
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.v1.md", "link.md"]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*a.csv \(No space left on device\): free space"):
        write_bytes(path, b"new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "old")]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    read, write = os.pipe()
    write_bytes(Path(f"/dev/fd/{write}"), b"through")
    assert os.read(read, 100) == b"through"


def test_a_document_without_a_place_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*absent.md .*--into"):
        place(tmp_path / "absent.md", "mine")
    (tmp_path / "odd.md").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"odd.md \(it is no UTF-8\)"):
        place(tmp_path / "odd.md", "mine")


def test_nothing_is_written_in_place() -> None:
    """Text and bytes go through :mod:`tlda.writing`; the cache, and one-process scratch files, have their own rename."""
    places = [
        f"{path.relative_to(REPO)}:{number}"
        for path in sorted((REPO / "tlda").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"""\.write_text\(|\bopen\([^)]*["'][wa]b?["']""", line) and path.name not in ("writing.py", "cache.py")
    ]
    assert places == []
