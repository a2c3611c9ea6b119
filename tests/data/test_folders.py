from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_files import REAL, needs

from tlda.data import Folders
from tlda.data.folders import DecodedFiles, Files
from tlda.errors import UserError


def write(path: Path, value: int = 100, size: tuple[int, int] = (20, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 255 - value)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for domain in ("source", "target"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(3):
                write(tmp_path / "pets" / domain / name / f"{number}.png", 100 * label + 10 * number)
    return tmp_path / "pets"


def folders(root: Path, **kwargs: Any) -> Folders:
    return Folders(str(root), size=8, **kwargs)


@pytest.mark.parametrize("in_memory", [True, False, None])
def test_images_are_read_with_their_classes(root: Path, in_memory: bool | None) -> None:
    data = folders(root, in_memory=in_memory)
    source, target = data.load()
    assert isinstance(target.train, Files if in_memory is False else DecodedFiles)
    sample = target.train[torch.tensor([4, 0])]
    assert sample.x.shape == (2, 3, 8, 8)
    assert sample.x.dtype == torch.uint8
    assert sample.x[:, :, 0, 0].tolist() == [[110, 0, 145], [0, 0, 255]]
    assert (sample.y.tolist(), sample.row.tolist()) == ([1, 0], [4, 0])
    assert data.class_names == ["cat", "dog"]
    assert data.describe_row(4) == str(root / "target" / "dog" / "1.png")
    assert (source.test, target.test) == (None, None)


def test_rows_on_disk_are_read_by_worker_processes(root: Path) -> None:
    data = folders(root, in_memory=False, num_workers=1, batch_size=2, steps=2, seed=0)
    data.setup("fit")
    assert [batch.source.x.shape for batch, _, _ in data.train_dataloader()] == [(2, 3, 8, 8)] * 2


def test_images_are_decoded_once_until_a_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(root).setup("fit")
    with monkeypatch.context() as patch:
        patch.setattr("tlda.data.folders.read_image", lambda path, size: pytest.fail(f"{path} is decoded again"))
        folders(root).setup("fit")
    write(root / "source" / "cat" / "0.png", 200)
    rows: Any = folders(root).load()[0].train
    assert rows.images[0, 0, 0, 0] == 200


def test_images_beyond_the_cache_are_decoded_a_batch_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_CACHE_LIMIT", "2KB")
    assert type(folders(root).load()[0].train) is Files
    monkeypatch.setenv("TLDA_CACHE_LIMIT", "3KB")
    assert type(folders(root).load()[0].train) is DecodedFiles


def test_every_kind_of_image_becomes_rgb(root: Path) -> None:
    folder = root / "target" / "cat"
    array = np.linspace(0, 255, 16 * 16).reshape(16, 16).astype(np.uint8)
    Image.fromarray(array).save(folder / "grey.png")
    Image.fromarray(array).convert("RGBA").save(folder / "rgba.webp")
    Image.fromarray(array).convert("P").save(folder / "palette.gif")
    Image.fromarray(array).convert("CMYK").save(folder / "cmyk.JPG")
    Image.fromarray(array.astype(np.uint16) * 257).save(folder / "deep.png")
    Image.fromarray(array > 100).save(folder / "black.bmp")
    palette = Image.fromarray(array).convert("P")
    palette.save(folder / "clear.png", transparency=bytes(range(256)))
    data = folders(root)
    rows: Any = data.load()[1].train
    names = [path.name for path in rows.paths]
    assert len(names) == 6 + 7
    means = {name: rows.images[i].float().mean().item() for i, name in enumerate(names)}
    assert all(abs(means[name] - 127) < 12 for name in ("grey.png", "rgba.webp", "palette.gif", "cmyk.JPG", "deep.png", "clear.png"))


def test_other_files_are_left_alone(root: Path) -> None:
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "._0.png"):
        (root / "target" / "cat" / name).write_bytes(b"odd")
    (root / "target" / ".cache").mkdir()
    (root / "target" / "empty").mkdir()
    write(root / "target" / "cat" / "deeper" / "4.png")
    assert len(folders(root).load()[1].train) == 7


def test_missing_folders_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"no folder {tmp_path / 'nowhere'}"):
        folders(tmp_path / "nowhere").setup("fit")
    with pytest.raises(UserError, match=r"no domain folder .*/tagret; did you mean 'target'"):
        folders(root, target="tagret").setup("fit")
    (tmp_path / "bare").mkdir()
    with pytest.raises(UserError, match=r"the root has no folders"):
        folders(tmp_path / "bare").setup("fit")
    (root / "void" / "cat").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no image in .*void"):
        folders(root, target="void").setup("fit")


def test_class_folders_that_differ_are_named_with_the_way_out(root: Path) -> None:
    write(root / "source" / "cow" / "0.png")
    write(root / "target" / "emu" / "0.png")
    message = r"only 'source' has cow and only 'target' has emu; give --data.classes \[cat,dog\]"
    with pytest.raises(UserError, match=message):
        folders(root).setup("fit")
    data = folders(root, classes=["dog", "cat"])
    data.setup("fit")
    assert data.class_names == ["dog", "cat"]
    assert data.loaded[0].train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(UserError, match=r"the domain 'target' has no class 'cow'; known: cat, dog, emu"):
        folders(root, classes=["cat", "cow"]).setup("fit")
    write(root / "other" / "fox" / "0.png")
    with pytest.raises(UserError, match=r"the same names"):
        folders(root, target="other").setup("fit")


def test_one_class_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"only one class, \['cat'\]"):
        folders(root, classes=["cat"]).setup("fit")


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_damaged_image_is_named_or_left_out(root: Path, in_memory: bool) -> None:
    damage(root / "target" / "cat" / "1.png")
    (root / "target" / "dog" / "2.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"target/cat/1.png cannot be read .*--data.on_error skip"):
        folders(root, in_memory=in_memory).load()[1].train[torch.arange(6)]
    data = folders(root, in_memory=in_memory, on_error="skip")
    with pytest.warns(UserWarning, match=r"2 of 6 images are left out; the first: .*target/cat/1.png"):
        data.setup("fit")
    rows = data.loaded[1].train
    assert rows.labels.tolist() == [0, 0, 1, 1]
    assert data.describe_row(1) == str(root / "target" / "cat" / "2.png")
    assert rows[torch.tensor([1])].x[0, 0, 0, 0] == 20


def test_a_domain_of_damaged_images_is_refused(root: Path) -> None:
    for path in (root / "target").rglob("*.png"):
        damage(path)
    with pytest.raises(UserError, match=r"none of 6 images can be read; the first: .*cat/0.png"):
        folders(root, on_error="skip").load()


def test_a_jpeg_cut_short_is_named(root: Path) -> None:
    path = root / "target" / "cat" / "9.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"9.jpg cannot be read"):
        folders(root).setup("fit")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_beyond_pil_s_limit_is_named_or_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root / "target" / "cat" / "9.png", size=(100, 90))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    with pytest.raises(UserError, match=r"9.png cannot be read .*9000 pixels.* too large .*--data.on_error skip"):
        folders(root).setup("fit")
    data = folders(root, on_error="skip")
    with pytest.warns(UserWarning, match=r"1 of 7 images are left out; the first: .*target/cat/9.png"):
        data.setup("fit")
    assert len(data.loaded[1].train) == 6


def test_a_target_without_class_folders_is_predicted_and_not_measured(root: Path) -> None:
    for number in range(5):
        write(root / "new" / f"{number}.png", 10 * number)
    data = folders(root, target="new", batch_size=2, steps=1, seed=0)
    data.setup("fit")
    assert data.class_names == ["cat", "dog"]
    assert not data.loaded[1].labelled
    assert len(data.test_dataloader()) == 1
    (batch,) = data.predict_dataloader()
    assert [data.describe_row(row) for row in sorted(batch.row.tolist())] == [str(root / "new" / f"{n}.png") for n in range(5)]
    with pytest.raises(UserError, match=r"the source needs labels"):
        folders(root, source="new").setup("fit")


def test_an_unlabelled_target_through_a_trainer(root: Path) -> None:
    from pytorch_lightning import Trainer

    from tlda.backbones import LeNet
    from tlda.methods import DANN

    for number in range(5):
        write(root / "new" / f"{number}.png", 10 * number)
    data = Folders(str(root), target="new", size=28, batch_size=2, steps=2, seed=0)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", **options)  # type: ignore[arg-type]
    method = DANN(backbone=LeNet(channels=3), num_classes=2)
    trainer.fit(method, data)
    assert {"val/source/accuracy", "val/target/entropy", "val/target/mixval"} <= set(trainer.callback_metrics)
    assert "oracle/target/accuracy" not in trainer.callback_metrics
    (prediction,) = trainer.predict(method, data) or []
    assert sorted(prediction.row.tolist()) == list(range(5))


def test_a_root_is_also_looked_for_in_the_data_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_DATA", str(root.parent))
    assert len(folders(Path("pets")).load()[0].train) == 6


def test_the_fingerprint_is_of_the_files_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(root, tmp_path / "copy" / "pets")
    for in_memory in (True, False):
        first = folders(root, in_memory=in_memory).fingerprint()
        assert first == folders(tmp_path / "copy" / "pets", in_memory=in_memory).fingerprint()
        assert first != folders(root, in_memory=in_memory, classes=["dog", "cat"]).fingerprint()
        write(root / "source" / "cat" / f"new{in_memory}.png")
        assert first != folders(root, in_memory=in_memory).fingerprint()
        (root / "source" / "cat" / f"new{in_memory}.png").unlink()


@needs("pacs/photo", "pacs/sketch")
def test_the_real_pacs() -> None:
    data = Folders(str(Path(REAL or "", "pacs")), "photo", "sketch", size=16, classes=["dog", "guitar"], seed=0)
    data.setup("fit")
    assert [len(domain.train) for domain in data.loaded] == [160, 160]
