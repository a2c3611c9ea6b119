"""``tlda translate``, the data set that it writes, and the stage of a table."""

from __future__ import annotations

import csv
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import tlda.translation.translate
from tests.conftest import EXPERIMENTS, HANDWRITTEN, TINY, Tlda
from tests.helpers.toy import Toy
from tlda.bench.cell import run_cell
from tlda.bench.results import left_out
from tlda.bench.table import load_table
from tlda.config.build import build, load, translate_checkpoint
from tlda.data.translated import MANIFEST, PROTOCOL, Mixed, Translated, hash_of, read_splits
from tlda.errors import UserError
from tlda.report.of_translation import IMAGES, translation_grid, translator_of

SMALL = {
    "class_path": "CycleGAN",
    "init_args": {
        "backbone": {"class_path": "tests.helpers.toy.Tiny"},
        "pretrain": 0.2,
        "translator": {
            "class_path": "Translator",
            "init_args": {"generator": {"class_path": "UNetGenerator", "init_args": {"width": 4}}, "critic_width": 4},
        },
    },
}
DATA: dict[str, Any] = {"class_path": "tests.helpers.toy.Toy", "init_args": {"n": 300}}
QUIET: dict[str, Any] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def fit(path: Path, model: dict[str, Any] = SMALL, **trainer: Any) -> Path:
    """The checkpoint of a run on the toy."""
    config = {
        "model": model,
        "data": DATA,
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "use_distributed_sampler": False},
    }
    method, data, run = build(config, **QUIET, **trainer)
    run.fit(method, data)
    run.save_checkpoint(path)
    return path


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(tmp_path_factory.mktemp("translator") / "cyclegan.ckpt")


@pytest.fixture(scope="session")
def translated(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("translated")
    assert translate_checkpoint(checkpoint, folder, {}) == 300
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# What is written


def test_the_images_are_the_translations_of_the_rows(checkpoint: Path, translated: Path) -> None:
    images = read_splits(translated).train
    source = Toy(n=300).loaded[0].train
    method: Any = load(checkpoint)
    expected = method.translator(source.images.float() / 255)  # type: ignore[attr-defined]
    assert (images.images.float() / 255 - expected).abs().max() < 0.6 / 255
    assert torch.equal(images.labels, source.labels)


def test_the_manifest_has_every_image_and_the_protocol_what_made_them(translated: Path) -> None:
    with (translated / MANIFEST).open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 300
    for line in lines[::50]:
        assert hash_of((translated / line["file"]).read_bytes()) == line["blake2b"]
        assert line["file"].startswith(f"train/class {line['label']}/")
    protocol = json.loads((translated / PROTOCOL).read_text())
    assert (protocol["version"], protocol["domain"], protocol["method"]) == (1, "blobs", "CycleGAN")
    assert protocol["recipe"]["data"]["init_args"]["n"] == 300
    assert set(contents(translated)) == {PROTOCOL, MANIFEST, *(line["file"] for line in lines)}, "and nothing else"


@pytest.mark.slow
def test_a_killed_translation_goes_on(checkpoint: Path, translated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, made = tlda.translation.translate.png, list[int]()

    def killed(image: torch.Tensor) -> bytes:
        if len(made) == 270:
            raise KeyboardInterrupt
        made.append(0)
        return whole(image)

    monkeypatch.setattr(tlda.translation.translate, "png", killed)
    with pytest.raises(KeyboardInterrupt):
        translate_checkpoint(checkpoint, tmp_path, {})
    assert len(contents(tmp_path)) == 271
    with pytest.raises(UserError, match="unfinished"):
        train(tmp_path)
    monkeypatch.setattr(tlda.translation.translate, "png", lambda image: made.append(1) or whole(image))  # type: ignore[func-returns-value]
    translate_checkpoint(checkpoint, tmp_path, {})
    assert made.count(1) == 30, "what is there is not made again"
    assert contents(tmp_path) == contents(translated)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Within, the system refuses to make a file longer, as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_of_a_manifest_or_an_image(checkpoint: Path, translated: Path, tmp_path: Path) -> None:
    wanted = contents(translated)
    for limit in (60, 5000):  # less than an image, and more than one but less than the manifest
        if limit == 60:
            (tmp_path / PROTOCOL).write_bytes((translated / PROTOCOL).read_bytes())
        with files_of_at_most(limit), pytest.raises(UserError, match=r"cannot write .*free space there, and run the same command again"):
            translate_checkpoint(checkpoint, tmp_path, {})
        assert not (tmp_path / MANIFEST).exists()
        assert not list(tmp_path.rglob("*.partial"))
        assert all(wanted[name] == data for name, data in contents(tmp_path).items()), "what is there is whole"
    translate_checkpoint(checkpoint, tmp_path, {})
    assert contents(tmp_path) == wanted


@pytest.mark.slow
def test_what_cannot_be_translated_is_told_in_a_sentence(tlda: Tlda, tmp_path: Path, checkpoint: Path, translated: Path) -> None:
    def error(*args: str | Path) -> str:
        done = tlda("translate", *args)
        assert done.code == 1
        assert len(done.sentences) == 1, done.err
        return done.sentences[0]

    other = fit(tmp_path / "dann.ckpt", {"class_path": "DANN", "init_args": {"backbone": {"class_path": "tests.helpers.toy.Tiny"}}})
    assert "holds DANN, which translates nothing" in error(other, "--out", tmp_path / "a")
    early = fit(tmp_path / "early.ckpt", {**SMALL, "init_args": {**SMALL["init_args"], "pretrain": 1.0}})  # type: ignore[dict-item]
    assert "ended before it began to translate" in error(early, "--out", tmp_path / "a")
    assert "there is no checkpoint at nowhere.ckpt" in error("nowhere.ckpt", "--out", tmp_path / "a")
    assert "Toy has no option 'source'" in error(checkpoint, "--source", "x", "--out", tmp_path / "a")
    again = fit(tmp_path / "again.ckpt", SMALL, limit_train_batches=3)
    assert "holds another translation" in error(again, "--out", translated)
    assert "holds other files" in error(checkpoint, "--out", tmp_path)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / PROTOCOL).write_text("{")
    assert f"{PROTOCOL} cannot be read" in error(checkpoint, "--out", tmp_path / "damaged")
    assert "the following arguments are required: --out" in error(checkpoint)
    blocked = tmp_path / "file"
    blocked.touch()
    assert "cannot write into" in error(checkpoint, "--out", blocked)


# What is read


def train(folder: Path, share: float = 1.0, method: str = "SourceOnly", n: int = 300) -> tuple[Any, Any]:
    """A short run on translated images, and its data."""
    model = {"class_path": method, "init_args": {"backbone": {"class_path": "tests.helpers.toy.Tiny"}}}
    data = {"class_path": "tests.helpers.toy.Toy", "init_args": {"n": n, "translated": {"folder": str(folder), "share": share}}}
    made, pair, run = build({"model": model, "data": data, "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1}}, **QUIET)
    run.fit(made, pair)
    return made, pair


@pytest.mark.parametrize("method", ["SourceOnly", "DANN"])
def test_any_method_trains_on_translated_images(translated: Path, method: str) -> None:
    _, data = train(translated, method=method)
    assert data.fingerprint() == Toy(n=300).fingerprint(), "the task is the same: a table compares them"


@pytest.mark.parametrize(("share", "count"), [(1.0, 10), (0.3, 3), (0.07, 1)])
def test_a_share_of_each_batch_is_translated(translated: Path, share: float, count: int) -> None:
    source, images = Toy(n=300).loaded[0].train, read_splits(translated).train
    rows = torch.randperm(300)[:10]
    batch = Mixed(source, images, share)[rows]
    assert torch.equal(batch.x[:count], images.images[rows[:count]])
    assert torch.equal(batch.x[count:], source.images[rows[count:]])  # type: ignore[attr-defined]
    assert torch.equal(batch.y, source.labels[rows])
    assert torch.equal(batch.row, rows)
    data = Toy(n=300, translated=Translated(str(translated), share))
    data.setup("fit")
    assert len(data.training_rows()["source"]) == 270  # less what is held out
    assert len(data.training_rows()["target"]) == 300
    assert isinstance(data.loaded[1].train, type(source)), "nothing of the target is replaced"


def test_no_folder_is_no_translation() -> None:
    data, plain = Toy(translated=Translated()), Toy()
    for each in (data, plain):
        each.setup("fit")
    x, y = (each.training_rows()["source"][torch.arange(20)].x for each in (data, plain))
    assert torch.equal(x, y)


@pytest.mark.slow
def test_a_wrong_folder_or_a_damaged_image_is_named(translated: Path, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no translated data set"):
        train(tmp_path)
    with pytest.raises(UserError, match="was translated from other images than the domain 'blobs'"):
        train(translated, n=301)
    with pytest.raises(UserError, match="share is 0"):
        Translated(None, 0.0)
    with pytest.raises(UserError, match=r"share 0.01 of 16 source images in a batch is less than one"):
        train(translated, share=0.01)
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / MANIFEST).touch()
    (tmp_path / "newer" / PROTOCOL).write_text('{"version": 2}')
    with pytest.raises(UserError, match="newer has version 2 of the layout, and this is version 1"):
        train(tmp_path / "newer")
    translate_checkpoint(checkpoint, tmp_path / "copy", {})
    image = next((tmp_path / "copy" / "train").rglob("*7.png"))
    image.write_bytes(image.read_bytes()[:-5] + b"wrong")
    with pytest.raises(UserError, match=rf"{image.name} cannot be read \(its hash is not the manifest's\)"):
        train(tmp_path / "copy")


# What a run shows


@pytest.mark.slow
def test_a_run_shows_what_it_translated(tlda: Tlda, tmp_path: Path) -> None:
    args = ["-c", EXPERIMENTS / "base" / "embedded.yaml", "-c", EXPERIMENTS / "method" / "cyclegan.yaml"]
    args += ["-c", EXPERIMENTS / "task" / "fonts_handwritten.yaml", *TINY, f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    assert tlda("fit", *args).code == 0
    (folder,) = (tmp_path / "runs").glob("*/CycleGAN/*")
    assert (folder / "translation.png").stat().st_size > 1000
    assert tlda("report", folder, "--out", tmp_path / "report.html").code == 0
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Translation</h2>" in page
    assert "Fréchet distance of translated images" in page
    checkpoint = folder / "checkpoints" / "last.ckpt"
    done = tlda("translate", checkpoint, "--source", "handwritten+photos", "--out", tmp_path / "colour")
    assert "translate images of one shape with 1 channel(s), and these are (3, 16, 16)" in done.sentences[0]
    done = tlda("translate", checkpoint, "--source", "handwritten", "--out", tmp_path / "out")
    assert (done.code, f"{HANDWRITTEN} translated images are in" in done.out) == (0, True), done.err


def test_the_grid_has_both_ways(checkpoint: Path) -> None:
    method: Any = load(checkpoint)
    data = Toy(n=300)
    data.setup("fit")
    grid = translation_grid(method.translator, data)
    assert grid.shape == (3, 6 * 4, IMAGES * 4)
    shown = [row[None, None, :, :4] for row in grid[0].split(4)]
    translator = method.translator
    for domain, (row, there, back) in enumerate((shown[:3], shown[3:])):
        rows = data.evaluation_rows[domain]
        first = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:1]
        torch.testing.assert_close(row, rows[first].x / 255)
        ways = (translator, translator.back) if domain == 0 else (translator.back, translator)
        torch.testing.assert_close(there, ways[0](row))
        torch.testing.assert_close(back, ways[1](there))
    assert translator_of(method) is method.translator
    method.translator.judge.taken.fill_(False)  # type: ignore[union-attr]
    assert translator_of(method) is None


def test_a_grid_of_few_images_shows_them_all(checkpoint: Path) -> None:
    method: Any = load(checkpoint)
    data = Toy(n=60)
    data.setup("fit")
    assert translation_grid(method.translator, data).shape == (3, 6 * 4, 6 * 4)  # a tenth of the source is held out


# The stage of a table


def table(path: Path, **changes: Any) -> Path:
    methods = {
        "source_only": str(EXPERIMENTS / "method" / "source_only.yaml"),
        "cyclegan": str(EXPERIMENTS / "method" / "cyclegan.yaml"),
        "adapted": str(EXPERIMENTS / "method" / "dann.yaml"),
    }
    declared = {
        "title": "Translation",
        "base": [
            str(EXPERIMENTS / "base" / "embedded.yaml"),
            {"trainer": {"max_epochs": 1, "precision": "32-true"}, "data": {"init_args": {"steps": 4, "batch_size": 8}}},
        ],
        "methods": methods,
        "translate": {"adapted": "cyclegan"},
        "tasks": {"hf": str(EXPERIMENTS / "task" / "handwritten_fonts.yaml")},
        "seeds": [0],
        **changes,
    }
    path.write_text(yaml.safe_dump(declared, sort_keys=False))
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("all_digits")
def test_translate_then_adapt_is_one_command(tlda: Tlda, tmp_path: Path) -> None:
    path = table(tmp_path / "t.yaml")
    done = tlda("bench", path, "--methods", "adapted", "--workers", "1")
    assert done.code == 0, done.err
    results = tmp_path / "results" / "t"
    result = json.loads((results / "adapted-hf-0.json").read_text())
    assert result["config"]["data"]["init_args"]["translated"] == {"folder": "cyclegan-hf-0", "share": 1.0}
    (folder,) = (results / "translated").iterdir()
    assert (folder / MANIFEST).is_file()
    assert not (results / "cyclegan-hf-0.json").exists(), "a first stage alone is no cell"
    before, stamp = contents(folder), (folder / MANIFEST).stat().st_mtime_ns
    again = run_cell(results, next(cell for cell in load_table(path).cells() if cell.method == "adapted"))
    assert (contents(folder), (folder / MANIFEST).stat().st_mtime_ns) == (before, stamp), "what is translated is not translated again"
    assert again["metrics"] == result["metrics"]


@pytest.mark.slow
def test_the_stage_is_part_of_a_cell_and_no_other_cell_knows_of_it(tmp_path: Path) -> None:
    def keys(**changes: Any) -> dict[str, str]:
        return {cell.method: cell.key for cell in load_table(table(tmp_path / "t.yaml", **changes)).cells()}

    with_stage, without = keys(), keys(translate={})
    assert with_stage["adapted"] != without["adapted"]
    assert {**with_stage, "adapted": ""} == {**without, "adapted": ""}


def test_a_method_is_translated_for_by_one_above_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="under 'translate', 'cyclegan' cannot come after 'adapted'"):
        load_table(table(tmp_path / "t.yaml", translate={"cyclegan": "adapted"}))
    with pytest.raises(UserError, match="under 'translate', 'source_only' translates nothing: name a method such as CycleGAN"):
        load_table(table(tmp_path / "t.yaml", translate={"adapted": "source_only"})).cells()


def test_a_result_of_another_stage_is_told_so(tmp_path: Path) -> None:
    path = table(tmp_path / "t.yaml")
    cell = next(cell for cell in load_table(path).cells() if cell.method == "adapted")
    (tmp_path / "results").mkdir()
    filled = {**cell.resolved, "data": {**cell.resolved["data"], "init_args": {**cell.resolved["data"]["init_args"]}}}
    filled["data"]["init_args"]["translated"] = {"folder": "cyclegan-hf-0", "share": 1.0}
    named = {"method": cell.method, "task": cell.task, "seed": cell.seed, "sees": ["source"], "metrics": {"test/target/accuracy": 0.5}}
    result = {**named, "key": "old", "config": filled, "data": "a", "versions": {"torch": "2"}}
    (tmp_path / "results" / f"{cell.name}.json").write_text(json.dumps(result))
    (why,) = left_out(tmp_path / "results", [cell])
    assert "(another seed, first stage or version of the code): " in why
