from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.tiny_files import REAL, needs
from tests.helpers.toy import trainer
from tlda.backbones import LeNet
from tlda.data import Digits, Folders, OfficeCaltech10
from tlda.data.folders import DecodedFiles, Files, read_image
from tlda.errors import UserError
from tlda.methods import DANN


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
    assert list(data.task.classes) == ["cat", "dog"]
    assert data.describe_row(4) == str(root / "target" / "dog" / "1.png")
    assert (source.test, target.test) == (None, None)


def test_rows_on_disk_are_read_by_worker_processes(root: Path) -> None:
    data = folders(root, in_memory=False, num_workers=1, batch_size=2, steps=2, seed=0)
    data.setup("fit")
    assert [batch.source.x.shape for batch, _, _ in data.train_dataloader()] == [(2, 3, 8, 8)] * 2


def test_images_are_decoded_once_until_a_file_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(root).setup("fit")
    with monkeypatch.context() as patch:
        patch.setattr("tlda.data.folders.read_image", lambda path, *_: pytest.fail(f"{path} is decoded again"))
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
    assert list(data.task.classes) == ["dog", "cat"]
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


def test_a_reader_that_runs_other_programs_is_not_tried(root: Path) -> None:
    (root / "source" / "cat" / "0.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")
    with pytest.raises(UserError, match=r"0.png cannot be read \(cannot identify image file"):
        read_image(root / "source" / "cat" / "0.png", 4)


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
    assert list(data.task.classes) == ["cat", "dog"]
    assert not data.loaded[1].labelled
    assert len(data.test_dataloader()) == 1
    (batch,) = data.predict_dataloader()
    assert [data.describe_row(row) for row in sorted(batch.row.tolist())] == [str(root / "new" / f"{n}.png") for n in range(5)]
    with pytest.raises(UserError, match=r"the source needs labels"):
        folders(root, source="new").setup("fit")


def test_images_beside_class_folders_are_counted_aloud(root: Path) -> None:
    for name in ("x.png", "y.jpg", ".hidden.png", "notes.txt"):
        write(root / "target" / "x.png") if name == "x.png" else (root / "target" / name).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"2 images in .*target are in none of its class folders, and are left out: x.png") as caught:
        assert len(folders(root).loaded[1].train) == 6
    assert len(caught) == 1


def test_an_unlabelled_target_through_a_trainer(root: Path) -> None:
    from pytorch_lightning import Trainer

    for number in range(5):
        write(root / "new" / f"{number}.png", 10 * number)
    data = Folders(str(root), target="new", size=28, batch_size=2, steps=2, seed=0)
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    run = Trainer(max_epochs=1, accelerator="cpu", **options)  # type: ignore[arg-type]
    method = DANN(backbone=LeNet(channels=3), task=2)
    run.fit(method, data)
    assert {"val/source/accuracy", "val/target/entropy", "val/target/mixval"} <= set(run.callback_metrics)
    assert "oracle/target/accuracy" not in run.callback_metrics
    (prediction,) = run.predict(method, data) or []
    assert sorted(prediction.row.tolist()) == list(range(5))  # type: ignore[union-attr]


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


@pytest.mark.slow
@needs("pacs/photo", "pacs/sketch")
def test_the_real_pacs() -> None:
    data = Folders(str(Path(REAL or "", "pacs")), "photo", "sketch", size=16, classes=["dog", "guitar"], seed=0)
    data.setup("fit")
    assert [len(domain.train) for domain in data.loaded] == [160, 160]


def turned(path: Path, orientation: int, size: tuple[int, int] = (20, 16)) -> None:
    """A photograph whose first stored row is red, and whose EXIF data say how it lies."""
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, size[0], size[1] // 2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif, quality=100)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(("orientation", "red"), [(1, "top"), (3, "bottom"), (6, "right"), (8, "left")])
def test_photographs_are_turned_upright(tmp_path: Path, ending: str, orientation: int, red: str) -> None:
    turned(tmp_path / f"0.{ending}", orientation)
    image = read_image(tmp_path / f"0.{ending}", 8).float()[0]
    halves = {"top": image[:3], "bottom": image[-3:], "left": image[:, :3], "right": image[:, -3:]}
    assert max(halves, key=lambda side: halves[side].mean().item()) == red


def test_a_published_set_is_read_as_its_images_are_stored(tmp_path: Path) -> None:
    for domain in ("amazon", "webcam"):
        for name in ("bike", "mug"):
            (tmp_path / "images" / domain / name).mkdir(parents=True)
            turned(tmp_path / "images" / domain / name / "0.jpg", 3)
    own = Folders(str(tmp_path / "images"), "amazon", "webcam", size=8).load()[0].train
    with pytest.warns(UserWarning, match="does not compare"):
        published = OfficeCaltech10(str(tmp_path), "amazon", "webcam", size=8, classes=["bike", "mug"]).load()[0].train
    red = [[rows[torch.tensor([0])].x[0, 0, y].float().mean() > 100 for y in (0, -1)] for rows in (own, published)]
    assert red == [[False, True], [True, False]]
    assert (own.digest == published.digest, own.content == published.content) == (False, False)  # type: ignore[attr-defined]


@needs("office_caltech10/images")
def test_the_one_turned_image_of_office_caltech10_stays_as_published() -> None:
    path = Path(REAL or "", "office_caltech10/images/caltech10/mug/041_0006.jpg")
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    assert OfficeCaltech10.layout.turned is False
    assert torch.equal(read_image(path, 32, OfficeCaltech10.layout.turned), torch.from_numpy(expected.copy()).permute(2, 0, 1))
    assert not torch.equal(read_image(path, 32), read_image(path, 32, turned=False))


def test_exif_data_that_cannot_be_read_leave_the_image_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "0.jpg")
    with Image.open(tmp_path / "0.jpg") as image:
        image.save(tmp_path / "1.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12")
    assert read_image(tmp_path / "1.jpg", 8).shape == (3, 8, 8)


def ramp(high: float, kind: str) -> Image.Image:
    return Image.fromarray(np.linspace(0, high, 256).reshape(16, 16).astype(kind))


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (ramp(1.0, "float32"), "0.tif", "bright"),
        (ramp(255.0, "float32"), "0.tif", r"floats from 0 to 255, and black is 0 and white is 1"),
        (ramp(float("nan"), "float32"), "0.tif", r"floats from nan"),
        (ramp(65535, "uint16"), "0.png", "bright"),
        (ramp(65535, "uint16"), "0.tif", "bright"),
        (ramp(4095, "uint16"), "0.png", r"16 bits are filled up to 4095 only"),
        (ramp(1023, "uint16"), "0.tif", r"16 bits are filled up to 1023 only"),
        (ramp(2**20, "int32"), "0.tif", r"whole numbers from 0 to 1048576, which are not 16 bits"),
        (ramp(-500, "int32"), "0.tif", r"whole numbers from -500 to 0"),
    ],
)
def test_a_container_is_scaled_by_its_type_or_refused(tmp_path: Path, image: Image.Image, name: str, expected: str) -> None:
    image.save(tmp_path / name)
    if expected == "bright":
        assert abs(read_image(tmp_path / name, 16).float().mean().item() - 127) < 2
    else:
        with pytest.raises(UserError, match=rf"{name} cannot be read .*{expected}"):
            read_image(tmp_path / name, 16)


def test_a_file_of_another_format_than_images_come_in_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png", "pcx")
    with pytest.raises(UserError, match=r"0.png cannot be read"):
        read_image(tmp_path / "0.png", 8)


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "#recycle"])
def test_hidden_folders_are_no_classes_and_hold_no_images(root: Path, hidden: str) -> None:
    for place in (root / "source" / hidden, root / "target" / "cat" / hidden, root / "target" / "cat" / "deep" / hidden / "deeper"):
        write(place / "9.png")
    data = folders(root)
    assert (list(data.task.classes), [len(domain.train) for domain in data.load()]) == (["cat", "dog"], [6, 6])
    assert folders(root.rename(root.parent / ".pets")).task.classes == ["cat", "dog"], "what is above the domain does not count"


@pytest.mark.parametrize("size", [0, -8, 10**7])
def test_a_size_that_no_image_can_have(root: Path, size: int) -> None:
    with pytest.raises(UserError, match=rf"--data.size is {size}: .* from 1 to 4096"):
        Folders(str(root), size=size)
    with pytest.raises(UserError, match=rf"--data.size is {size}"):
        Digits("fonts", "handwritten", size=size)


def test_a_damaged_image_that_a_worker_process_meets_is_one_sentence(root: Path) -> None:
    damage(root / "source" / "cat" / "1.png")
    data = folders(root, in_memory=False, num_workers=2, batch_size=6, steps=1, seed=0, holdout=0.01)
    data.setup("fit")
    with pytest.raises(UserError, match=r"^[^\n]*cat/1.png cannot be read [^\n]*--data.on_error skip$"):
        list(data.train_dataloader())


def test_several_targets_are_measured_together_and_each_by_itself(root: Path) -> None:
    shutil.copytree(root / "target", root / "other")
    torch.manual_seed(0)
    data = Folders(str(root), size=16, target=["target", "other"], holdout=0.5)
    method = DANN(backbone=LeNet(channels=3, size=16, num_features=8), task=data.task)
    _, measured = trainer().test(method, data, verbose=False)
    parts = [measured[f"test/target/{name}/accuracy"] for name in ("target", "other")]
    assert measured["test/target/accuracy"] == pytest.approx(sum(parts) / 2)
    assert parts[0] == parts[1]
    alone = trainer().test(method, Folders(str(root), size=16, holdout=0.5), verbose=False)[1]
    assert alone["test/target/accuracy"] == pytest.approx(parts[0])
    assert "test/target/target/accuracy" not in alone


def test_several_targets_without_labels_are_all_read(root: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        for image in range(number + 1):
            write(root / name / f"{image}.png")
    rows = folders(root, target=["first", "second"]).load()[1].train
    assert len(rows) == 3
    assert rows[torch.arange(3)].domain.tolist() == [0, 1, 1]
    with pytest.raises(UserError, match=r"'target' has class folders, and not all of --data\.target have"):
        folders(root, target=["target", "first"]).load()
