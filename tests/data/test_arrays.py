from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
import torch

import tlda
from tlda.data.arrays import Images, Recent, Splits, inked, resize
from tlda.data.cache import cached


def images(count: int, channels: int = 1, value: int = 0) -> Images:
    return Images(torch.full((count, channels, 4, 4), value, dtype=torch.uint8), torch.arange(count) % 5)


def test_classes_are_chosen_in_order_and_renumbered() -> None:
    chosen = images(10).of_classes([3, 0])
    assert chosen.labels.tolist() == [1, 0, 1, 0]
    assert len(images(10).of_classes([9])) == 0


def test_resize_averages_and_keeps_bytes() -> None:
    checkers = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).mul(255).to(torch.uint8).expand(5000, 1, 8, 8)
    small = resize(checkers, 4)
    assert small.shape == (5000, 1, 4, 4)
    assert small.dtype == torch.uint8
    assert (small.float() - 127.5).abs().max() < 25


def test_ink_fills_the_frame_whatever_its_place_and_size() -> None:
    blank = torch.zeros(4, 1, 12, 10, dtype=torch.uint8)
    blank[0, 0, 2:8, 3:6] = 255  # 6 high and 3 wide
    blank[1, 0, 6:12, 7:10] = 255  # the same in a corner
    blank[2, 0, 5, 1:9] = 200  # 1 high and 8 wide
    blank[3, 0, 4, 4] = 31  # no ink
    blank[0, 0, 0, 0] = 31
    squares = inked(blank)
    assert [tuple(square.shape) for square in squares] == [(1, 6, 6), (1, 6, 6), (1, 8, 8), (1, 12, 12)]
    assert torch.equal(squares[0], squares[1])
    assert squares[0][0].float().mean(0).tolist() == [0, 255, 255, 255, 0, 0]
    assert squares[2][0].float().mean(1).tolist() == [0, 0, 0, 200, 0, 0, 0, 0]
    filled = Images(blank, torch.arange(4)).filled(6)
    assert filled.images.shape == (4, 1, 6, 6)
    assert torch.equal(filled.images[0], squares[0])
    assert torch.equal(filled.labels, torch.arange(4))


def test_colour_takes_no_memory_and_changes_the_digest() -> None:
    grey = images(6)
    assert grey.in_colour().images.shape == (6, 3, 4, 4)
    assert grey.in_colour().images.untyped_storage().nbytes() == grey.images.untyped_storage().nbytes()
    assert grey.in_colour().digest != grey.digest
    assert grey.in_colour().digest == images(6).in_colour().digest


def test_recent_keeps_what_fits_and_always_the_last() -> None:
    recent, made = Recent(limit=100), []

    def get(name: str, count: int) -> None:
        recent.get(name, lambda: made.append(name) or Splits(images(count), None))  # type: ignore[func-returns-value]

    get("a", 3)
    get("b", 3)
    get("a", 3)  # used last, so b goes first
    get("c", 3)
    assert made == ["a", "b", "c"]
    assert list(recent.kept) == ["a", "c"]
    get("large", 50)
    assert list(recent.kept) == ["large"]


def test_the_cache_makes_once_and_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "new" / "cache"))
    made: list[int] = []

    def make() -> Splits:
        made.append(1)
        return Splits(images(3, value=7), images(2))

    first, second = cached("x", make), cached("x", make)
    assert len(made) == 1
    assert torch.equal(first.train.images, second.train.images)
    assert second.test is not None
    assert torch.equal(second.test.labels, torch.arange(2))
    assert [p.name for p in (tmp_path / "new" / "cache").iterdir()] == ["x.pt"]
    (tmp_path / "new" / "cache" / "x.pt").write_bytes(b"cut")
    with pytest.warns(UserWarning, match=r"damaged"):
        cached("x", make)
    cached("x", make)
    assert len(made) == 2


def test_a_cache_that_cannot_be_written_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match=r"set TLDA_CACHE"):
        assert len(cached("x", lambda: Splits(images(3), None)).train) == 3


def test_two_writers_leave_one_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path))
    barrier = threading.Barrier(2)

    def make() -> Splits:
        barrier.wait(10)  # both found the cache empty
        return Splits(images(100), None)

    threads = [threading.Thread(target=cached, args=("x", make)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not barrier.broken
    assert len(cached("x", make).train) == 100
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]


def test_the_package_imports_no_reader() -> None:
    files = list(Path(tlda.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    readers = re.compile(r"^(?:import|from) (?:sklearn|matplotlib|h5py|PIL|scipy|pandas|pyarrow)\b.*", re.MULTILINE)  # at the top
    assert {str(path): found for path in files if (found := readers.findall(path.read_text(encoding="utf-8")))} == {}
