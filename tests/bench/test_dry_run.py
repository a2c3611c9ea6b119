"""A dry run of the field's tables, on images in the folders of their distributors, by a tiny network."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.conftest import REPO
from tests.helpers.boxed import NAMES, SIDE, write_boxes
from tests.helpers.masked import write_streets
from tests.helpers.toy import Tiny, Toy, trainer
from tlda.bench.dry_run import dry_run, shorten
from tlda.bench.machine import affordable
from tlda.bench.table import Table, load_table, merge
from tlda.commands.bench import bench
from tlda.documents.grid import Grid
from tlda.errors import UserError
from tlda.methods import FineTune

TINY = {"class_path": "LeNet", "init_args": {"channels": 3, "size": 28, "num_features": 8}}
SMALL = {"init_args": {"size": 32, "crop": 28, "batch_size": 4, "eval_batch_size": 20, "num_workers": 0}}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with two sets of a few images."""
    folder = tmp_path_factory.mktemp("images")
    script = _script()
    for name in ("office31", "visda2017"):
        script.make(folder, name, 2, (40, 32))
    return folder


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make", REPO / "benchmarks/layouts/make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tiny(name: str, methods: str) -> Table:
    """One of the project's tables with a tiny network on small images."""
    table = load_table(REPO / f"benchmarks/tables/{name}.yaml").narrowed(methods, None, "0,1")
    base = {"model": {"init_args": {"backbone": TINY}}, "data": SMALL, "trainer": {"precision": "32-true", "accelerator": "cpu"}}
    return replace(table, base=merge({**table.base, "model": {"init_args": _without_backbone(table)}}, base))


def _without_backbone(table: Table) -> dict[str, Any]:
    return {name: value for name, value in table.base["model"]["init_args"].items() if name != "backbone"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "methods", "rows"),
    [
        ("office31", "source_only,mdd,source_only_shot,shot", ["62", "62", "10,000"]),
        ("visda2017", "source_only,afn", ["24", "24", "20,000"]),
    ],
)
def test_a_dry_run_says_what_a_table_needs(images: Path, monkeypatch: pytest.MonkeyPatch, name: str, methods: str, rows: list[str]) -> None:
    monkeypatch.setenv("TLDA_DATA", str(images))
    table = tiny(name, methods)
    cells = table.cells()
    shown, missing = dry_run(table, cells)
    sizes, costs = (block for block in shown if isinstance(block, Grid))
    assert sizes.rows[0][1:4] == rows
    assert [row[0] for row in costs.rows] == [table.label(method) for method in table.methods]
    assert {row[-2] for row in costs.rows} == {str(len(table.tasks) * 2)}
    assert all(float(cell) > 0 for row in costs.rows for cell in (row[2], row[3], row[5]))
    assert f"for {len(cells)} of {len(cells)} cells" in str(shown[-1])
    assert missing
    assert all("a result on it does not compare with published ones" in sentence for sentence in missing)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "methods", "rows"),
    [
        ("segmentation", "dacs", [["2", "2", "40,000"], ["2", "2", "40,000"]]),
        ("detection", "box_teacher,da_faster_rcnn", [["6", "6", "40,000"], ["6", "6", "40,000"], ["12", "6", "40,000"]]),
    ],
)
def test_tables_of_masks_and_boxes_run_on_their_distributors_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, methods: str, rows: list[list[str]]
) -> None:
    monkeypatch.setenv("TLDA_DATA", str(tmp_path))
    table = load_table(REPO / f"benchmarks/tables/{name}.yaml").narrowed(methods, None, "0")
    if name == "segmentation":
        write_streets(tmp_path)
        size: Any = [8, 16]
    else:
        size = SIDE
        write_boxes(tmp_path, "voc", ("sim10k/VOC2012", "VOCdevkit/VOC2007", "VOCdevkit/VOC2012", "clipart"))
        write_boxes(tmp_path, "coco", ("cityscapes_boxes", "foggy_cityscapes_boxes"))
    tiny = {"class_path": "tests.helpers.masked.TinyDense"}
    base = {
        "model": {"init_args": {**_without_backbone(table), "backbone": tiny}},
        "data": {"class_path": table.base["data"]["class_path"], "init_args": {"batch_size": 2, "stride": 2, "steps": 2000}},
        "trainer": {"max_epochs": 20, "precision": "32-true", "accelerator": "cpu"},
    }
    classes = {} if name == "segmentation" else {"classes": NAMES}
    tasks = {task: merge(found, {"data": {"init_args": {"size": size, **classes}}}) for task, found in table.tasks.items()}
    shown, missing = dry_run(table := replace(table, base=base, tasks=tasks), table.cells())
    sizes, costs = (block for block in shown if isinstance(block, Grid))
    assert not missing
    assert [row[1:4] for row in sizes.rows] == rows
    assert [row[0] for row in costs.rows] == [table.label(method) for method in table.methods]


def test_a_machine_that_emulates_bfloat16_runs_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = load_table(REPO / "benchmarks/tables/office31.yaml").cells()[0]
    for computes, taken in ((False, {"precision": "32-true"}), (True, {})):
        monkeypatch.setattr("tlda.nn.computes_in_bfloat16", lambda device, computes=computes: computes)
        assert affordable(cell) == taken


@pytest.mark.slow
def test_a_missing_set_and_missing_weights_are_a_sentence_each(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TLDA_DATA", str(images))
    declared = {
        "base": {
            "model": {"init_args": {"backbone": {"class_path": "Timm", "init_args": {"name": "resnet10t", "weights": "none.pth"}}}},
            "data": {"class_path": "VisDA2017", "init_args": {"size": 32, "batch_size": 4, "steps": 3}},
            "trainer": {"max_epochs": 2, "accelerator": "cpu"},
        },
        "methods": {"source_only": {"model": {"class_path": "SourceOnly"}}},
        "tasks": {"there": {}, "away": {"data": {"init_args": {"root": str(tmp_path / "nowhere")}}}},
        "seeds": [0],
    }
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(declared))
    with pytest.raises(UserError) as error:
        bench([str(path), "--dry-run"])
    sentences = str(error.value).splitlines()
    assert any(s.strip().startswith("away: ") for s in sentences)
    assert any("none.pth" in s and s.endswith("(this dry run goes on with random weights)") for s in sentences)
    assert "for 1 of 2 cells" in " ".join(capsys.readouterr().out.split())


def test_a_dry_run_trains_nothing_to_the_end(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--dry-run trains nothing to the end: leave --render out"):
        bench(["quickstart", "--dry-run", "--render"])


def test_few_rows_have_labels_of_each_class_to_see() -> None:
    data = Toy(shots=20, batch_size=4, steps=1)
    shorten(data)
    assert [len(domain.train) for domain in data.loaded] == [8, 8]
    trainer(1).fit(FineTune(backbone=Tiny(), task=data.task, pretrain=0.0), datamodule=data)


def test_a_list_of_labels_is_read_and_then_left_out(tmp_path: Path) -> None:
    data, listed = Toy(batch_size=4, steps=1), tmp_path / "labels.txt"
    labels = data.loaded[1].train.labels.tolist()[1:9]
    listed.write_text("".join(f"{data.task.classes[label]}/{row} {label}\n" for row, label in enumerate(labels, 1)))
    data.labelled = str(listed)
    shorten(data)
    data.setup("fit")
    assert data.shots == 1
    assert data.labelled is None
