"""Text data of the tests' own: a tiny model, and a data root of tiny files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.tiny_text import tiny_model, write_reviews

pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def model() -> str:
    return tiny_model()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with tiny reviews."""
    write_reviews(tmp_path)
    monkeypatch.setenv("TLDA_DATA", str(tmp_path))
    return tmp_path
