"""A task of one's own, in a file outside the package, is trained, tested, predicted and shown in a table; CONTRIBUTING.md has it."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.bench.test_bench import Here
from tests.conftest import REPO, Tlda
from tlda.batch import Output, Sample
from tlda.bench import launch
from tlda.tasks import Place, Task
from tlda.tasks.measures import counted

EXAMPLES = REPO / "tests" / "examples"
SHORT = ["--trainer.precision=32", "--trainer.enable_progress_bar=false"]


@pytest.fixture
def folder(tlda: Tlda, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's folder: the example's files, and a table of two hospitals whose grades follow from one of two columns."""
    for name in ("my_task.py", "my_task_table.yaml"):
        shutil.copy(EXAMPLES / name, ".")
    generator = torch.Generator().manual_seed(0)
    for hospital, shift in (("north", 0.0), ("south", 0.3)):
        rows = torch.randn(90, 2, generator=generator)
        grades = (rows[:, 0] > -0.5).int() + (rows[:, 0] > 0.5).int()
        lines = [f"{a + shift:.3f},{b:.3f},{grade}" for (a, b), grade in zip(rows.tolist(), grades.tolist(), strict=True)]
        Path(f"{hospital}.csv").write_text("\n".join(["pressure,age,grade", *lines]) + "\n")
    monkeypatch.setitem(launch.LAUNCHERS, "local", Here)
    yield Path.cwd()
    sys.modules.pop("my_task", None)


def ordinal() -> Task:
    """The example's task of three levels."""
    import my_task  # type: ignore[import-not-found]

    task: Task = my_task.Ordinal(["low", "middle", "high"])
    return task


def test_the_example_is_at_most_sixty_lines() -> None:
    assert len((EXAMPLES / "my_task.py").read_text().splitlines()) <= 60


def test_its_loss_and_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    task = ordinal()
    logits, labels = torch.tensor([[0.0, 0.0], [3.0, -1.0], [9.0, 9.0]]), torch.tensor([0, 2, -1])
    first, second = 2 * math.log(2), math.log1p(math.exp(-3.0)) + math.log1p(math.exp(1.0))
    assert task.loss(logits, labels).item() == pytest.approx((first + second) / 2)
    assert task.risk(logits, labels).tolist() == pytest.approx([first, second, 0.0])
    metric = task.metrics(Place("north", "source"))["mae"]
    _, known = counted(task, Output(logits, logits), Sample(logits, labels, torch.arange(3), torch.zeros(3)))
    metric.update(logits[:2], known)
    assert metric.compute().item() == 0.5  # the second row is one level too low
    assert task.head(4)(torch.ones(5, 4)).shape == (5, 2)


@pytest.mark.slow
def test_it_is_trained_tested_and_predicted(tlda: Tlda, folder: Path) -> None:
    data = ["--data=my_task.Graded", "--data.source=north.csv", "--data.target=south.csv", "--data.label=grade"]
    model = ["--model=DANN", "--model.backbone=MLP", "--model.backbone.num_inputs=2", "--model.backbone.hidden=[16]"]
    length = ["--data.steps=40", "--data.batch_size=16", "--trainer.max_epochs=2"]
    done = tlda("fit", *model, *data, *length, "--model.optimizer=Adam", "--model.optimizer.lr=0.02", *SHORT)
    assert done.code == 0, done.err
    (checkpoint,) = Path("runs").rglob("last.ckpt")
    tested = tlda("test", "--ckpt_path", checkpoint, *data, *SHORT)
    assert tested.code == 0, tested.err
    assert "test/target/mae" in tested.out
    predicted = tlda("predict", "--ckpt_path", checkpoint, *data, *SHORT)
    assert predicted.code == 0, predicted.err
    (written,) = Path.cwd().rglob("predictions.csv")
    with written.open() as file:
        rows = list(csv.DictReader(file))
    truth = [line.rsplit(",", 1)[1] for line in Path("south.csv").read_text().splitlines()[1:]]
    assert len(rows) == 90
    assert sum(row["level"] == grade for row, grade in zip(rows, truth, strict=True)) > 60


@pytest.mark.slow
def test_it_is_shown_in_a_table(tlda: Tlda, folder: Path) -> None:
    table = Path("my_task_table.yaml")
    table.write_text(table.read_text().replace("max_epochs: 3", "max_epochs: 1, precision: 32").replace("steps: 20", "steps: 3"))
    done = tlda("bench", table, "--seeds", "0", "--methods", "dann")
    assert done.code == 0, done.err
    text = Path("results/my_task_table/table.md").read_text()
    assert "DANN" in text
    assert "north → south" in text
    result = json.loads(Path("results/my_task_table/dann-north_south-0.json").read_text())
    assert result["config"]["data"]["class_path"] == "my_task.Graded"
    assert 0 <= result["metrics"]["test/target/mae"] < 2


def test_losses_of_classes_are_refused(tlda: Tlda, folder: Path) -> None:
    data = ["--data=my_task.Graded", "--data.source=north.csv", "--data.target=south.csv", "--data.label=grade"]
    done = tlda("fit", "--model=MCC", "--model.backbone=MLP", "--model.backbone.num_inputs=2", *data, *SHORT)
    assert done.code == 1
    assert "Ordinal has none" in done.err
