"""The examples run as they are written."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.conftest import REPO, Tlda

pytestmark = pytest.mark.slow

EXAMPLES = sorted((REPO / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tlda: Tlda, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(path.read_text().splitlines()) <= 40
    assert f"examples/{path.name}" in (REPO / "README.md").read_text()
    monkeypatch.setattr(sys, "argv", [str(path), *([] if path.stem == "own_images" else ["1"])])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out


def test_the_python_of_the_readme_runs(tlda: Tlda) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (REPO / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
