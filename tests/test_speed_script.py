"""The speed benchmark compares like with like: the loops by hand compute what tlda computes."""

import math
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SPEED = Path(__file__).resolve().parents[1] / "benchmarks" / "speed"


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SPEED))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    import compare

    small = {name: case._replace(batch=4, steps=3, warmup=0) for name, case in compare.CASES.items()}
    monkeypatch.setattr(compare, "CASES", small)
    return compare


# The products of CDAN's map are rounded to bfloat16 at different places.
@pytest.mark.parametrize(("name", "tolerance"), [("source_only", 1e-5), ("dann", 1e-5), ("cdan_e", 1e-3)])
def test_both_loops_compute_the_same_losses(compare: Any, name: str, tolerance: float) -> None:
    found = compare.compete(name, "bf16-mixed", log_every=1)
    assert len(found["tlda"].losses) == 4
    assert found["by_hand"].losses == pytest.approx(found["tlda"].losses, rel=tolerance)


def test_every_step_of_each_is_timed(compare: Any) -> None:
    found = compare.compete("dann", "32-true", log_every=1)
    assert len(found["tlda"].wall) == len(found["tlda"].cpu) == 3
    assert all(len(times.wall) == 4 for name, times in found.items() if name != "tlda")
    figures = compare.figures(compare.CASES["dann"], found)
    assert all(math.isfinite(value) and value > 0 for figure in figures.values() for value in figure.values())


def test_the_committed_page_is_that_of_the_committed_results(compare: Any) -> None:
    import json

    results = json.loads((SPEED / "results.json").read_text())
    assert (SPEED / "README.md").read_text() == compare.page([results[name] for name in compare.CASES])


def test_the_features_by_hand_are_those_of_tlda(compare: Any, tmp_path: Path) -> None:
    import json

    import extraction

    found = extraction.measure("test_resnet", images=8, runs=1)["runs"][0]
    assert 0 < found["difference"] < 0.05
    result = json.loads((SPEED / "extraction.json").read_text())
    assert (SPEED / "extraction.md").read_text() == extraction.page(result)
