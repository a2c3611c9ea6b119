from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.tiny_files import (
    REAL,
    idx_bytes,
    mnist_m_files,
    needs,
    write_mnist,
    write_mnist_m,
    write_svhn,
    write_usps_libsvm,
)
from tlda.data import Digits, Domain, Images
from tlda.data.photos import blend
from tlda.errors import UserError


def tells_its_class(domain: Domain, channel: int = 0) -> bool:
    """Whether the value of each of the tiny images is that of its label."""
    parts = [part for part in (domain.train, domain.test) if part is not None]
    assert all(isinstance(part, Images) for part in parts)
    return all((part.images[:, channel].flatten(1).float().mean(1) - 10 * part.labels - 5).abs().max() <= 1 for part in parts)  # type: ignore[attr-defined]


def sizes(domain: Domain) -> tuple[int, int | None]:
    return len(domain.train), None if domain.test is None else len(domain.test)


def test_grey_domains_are_read_with_one_channel(root: Path) -> None:
    data = Digits("mnist", "usps", root=str(root))
    mnist, usps = data.load()
    assert (sizes(mnist), sizes(usps)) == ((40, 20), (30, 20))
    assert mnist.train.images.shape[1:] == usps.train.images.shape[1:] == (1, 28, 28)  # type: ignore[attr-defined]
    assert mnist.train.images.dtype == torch.uint8  # type: ignore[attr-defined]
    assert tells_its_class(mnist)
    assert tells_its_class(usps)
    assert list(data.task.classes) == list("0123456789")
    assert data.describe_row(12) == "12"


def test_a_coloured_domain_makes_both_coloured(root: Path) -> None:
    mnist, svhn = Digits("mnist", "svhn", size=16, root=str(root)).load()
    assert mnist.train.images.shape[1:] == svhn.train.images.shape[1:] == (3, 16, 16)  # type: ignore[attr-defined]
    assert tells_its_class(svhn)  # the class 10 of the file is the digit 0
    assert (svhn.train.images[:, 2] == 255).all()  # type: ignore[attr-defined]
    assert sizes(svhn) == (20, 20)


def test_mnist_m_is_read_from_its_archive_or_its_folder(root: Path) -> None:
    options: dict[str, Any] = {"classes": list(range(7)), "root": str(root)}
    packed = Digits("mnist", "mnist_m", **options).load()[1]
    assert sizes(packed) == (14, None)
    assert tells_its_class(packed)
    archive = root / "digits" / "mnist_m" / "mnist_m.tar.gz"
    shutil.unpack_archive(archive, archive.parent, filter="data")
    archive.unlink()
    for source in (root, root):  # both depths that an archive unpacks to
        unpacked = Digits("mnist", "mnist_m", **{**options, "root": str(source)}, size=27).load()[1]
        assert tells_its_class(unpacked)
        assert sizes(unpacked) == (14, None)
        if (inner := archive.parent / "mnist_m").exists():
            for entry in inner.iterdir():
                entry.rename(archive.parent / entry.name)
            inner.rmdir()


def test_the_decoded_mnist_m_is_made_again_when_its_archive_changes(root: Path) -> None:
    options: dict[str, Any] = {"classes": list(range(7)), "root": str(root)}
    Digits("mnist", "mnist_m", **options).load()
    write_mnist_m(root / "digits" / "mnist_m" / "mnist_m.tar.gz", mnist_m_files(train=21, test=7))
    assert sizes(Digits("mnist", "mnist_m", **options, size=20).load()[1]) == (21, 7)


def test_the_layouts_of_torchvision_are_found(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw", packed=False)
    write_usps_libsvm(tmp_path / "USPS" / "usps.bz2", 20)
    write_usps_libsvm(tmp_path / "USPS" / "usps.t.bz2", 10)
    mnist, usps = Digits("mnist", "usps", root=str(tmp_path)).load()
    assert (sizes(mnist), sizes(usps)) == ((40, 20), (20, 10))
    assert tells_its_class(mnist)
    assert tells_its_class(usps)
    for part in ("train", "test"):
        write_svhn(tmp_path / f"{part}_32x32.mat", 10)
    assert sizes(Digits("mnist", "svhn", root=str(tmp_path)).load()[1]) == (10, 10)


def test_the_root_comes_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_DATA", str(root))
    assert sizes(Digits("mnist", "usps").load()[0]) == (40, 20)


def test_a_second_load_reads_nothing(root: Path) -> None:
    first = Digits("mnist", "usps", root=str(root)).load()
    shutil.rmtree(root)
    second = Digits("mnist", "usps", root=str(root)).load()
    assert all(a.train is b.train and a.test is b.test for a, b in zip(first, second, strict=True))


def test_classes_keep_their_order_and_are_renumbered(root: Path) -> None:
    data = Digits("mnist", "usps", classes=["7", "2"], root=str(root))
    assert list(data.task.classes) == ["7", "2"]
    mnist, usps = data.load()
    assert mnist.train.labels.bincount().tolist() == [4, 4]
    values = {int(mnist.train.images[row].float().mean()): int(mnist.train.labels[row]) for row in range(8)}  # type: ignore[attr-defined]
    assert values == {75: 0, 25: 1}
    assert usps.test is not None
    assert usps.test.labels.unique().tolist() == [0, 1]


def test_domains_whose_classes_differ_are_refused_with_the_way_out(root: Path) -> None:
    message = r"mnist_m lacks the classes 7, 8, 9; give --data.classes \[0,1,2,3,4,5,6\]"
    with pytest.raises(UserError, match=message):
        Digits("mnist", "mnist_m", root=str(root)).setup("fit")
    with pytest.raises(UserError, match=r"lacks the classes 8; give --data.classes \[1\]"):
        Digits("mnist", "mnist_m", classes=["8", "1"], root=str(root)).setup("fit")


def test_several_sources_are_pooled_and_each_row_knows_its_own(root: Path) -> None:
    data = Digits(["mnist", "usps"], "mnist_m", classes=list(range(7)), root=str(root))
    source, target = data.load()
    assert (data.transfer, list(data.task.sources), source.name) == ("mnist+usps_to_mnist_m", ["mnist", "usps"], "mnist+usps")
    alone = [Digits(name, "mnist_m", classes=list(range(7)), root=str(root)).load()[0] for name in ("mnist", "usps")]
    counts = [len(domain.train) for domain in alone]
    assert len(source.train) == sum(counts)
    assert source.train[torch.arange(sum(counts))].domain.tolist() == [0] * counts[0] + [1] * counts[1]
    assert source.test is not None
    assert len(source.test) == sum(len(domain.test or ()) for domain in alone)
    lacking, _ = Digits(["mnist", "mnist_m"], "usps", classes=list(range(7)), root=str(root)).load()
    assert lacking.test is None  # of MNIST-M there are no test rows, so that a part of both is held out
    assert target.name == "mnist_m"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ([], r"--data\.source names no domain: name one or more"),
        (["mnist", "usps"], "'usps' is in --data.source and in --data.target"),
        (["mnist", "mnist"], "--data.source names 'mnist' twice"),
        (["mnist", "mnst"], "there is no digit domain 'mnst'; did you mean 'mnist'"),
        (["mnist", "mnist_m"], r"mnist_m lacks the classes 7, 8, 9; give --data\.classes \[0,1,2,3,4,5,6\]"),
    ],
)
def test_sources_that_do_not_go_together_are_a_sentence(root: Path, source: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Digits(source, "usps", root=str(root)).load()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UserError, match=r"no digit domain 'mnits'; did you mean 'mnist'"):
        Digits("mnits", "usps")
    with pytest.raises(UserError, match=r"no digit domain 'usp\+photos'; did you mean 'usps'"):
        Digits("mnist", "usp+photos")
    with pytest.raises(UserError, match=r"--data.classes names '3' twice"):
        Digits("mnist", "usps", classes=[3, "3", 5])
    with pytest.raises(UserError, match=r"'10', which is no digit"):
        Digits("mnist", "usps", classes=[1, 10])


def test_a_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    for domain, file in {"mnist": "train-images-idx3-ubyte.gz", "usps": "usps.h5", "svhn": "train_32x32.mat"}.items():
        with pytest.raises(UserError, match=rf"{tmp_path}.*{file}; give --data.download true, or .*TLDA_DATA"):
            Digits(domain, "handwritten", root=str(tmp_path)).load()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("domain", "file"),
    [
        ("mnist", "MNIST/raw/train-images-idx3-ubyte.gz"),
        ("usps", "usps/usps.h5"),
        ("svhn", "svhn/test_32x32.mat"),
        ("mnist_m", "mnist_m/mnist_m.tar.gz"),
    ],
)
def test_a_file_cut_short_is_named(root: Path, domain: str, file: str) -> None:
    cut(root / "digits" / file)
    with pytest.raises(UserError, match=rf"{file} cannot be read"):
        Digits(domain, "handwritten", root=str(root)).load()


def test_other_damage_is_named(root: Path, tmp_path: Path) -> None:
    raw = root / "digits" / "MNIST" / "raw"
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.arange(39) % 10)))
    with pytest.raises(UserError, match=r"has 40 images, but .*train-labels-idx1-ubyte.gz has 39 labels"):
        Digits("mnist", "usps", root=str(root)).load()
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"<html>not found</html>"))
    with pytest.raises(UserError, match=r"train-labels-idx1-ubyte.gz cannot be read \(not an IDX file"):
        Digits("mnist", "usps", root=str(root)).load()
    write_usps_libsvm(tmp_path / "lib" / "usps.bz2", 10)
    cut(tmp_path / "lib" / "usps.bz2")
    with pytest.raises(UserError, match=r"usps.bz2 cannot be read"):
        Digits("usps", "handwritten", root=str(tmp_path / "lib")).load()
    files = mnist_m_files()
    del files["mnist_m_train/00000003.png"]
    write_mnist_m(root / "digits" / "mnist_m" / "mnist_m.tar.gz", files)
    with pytest.raises(UserError, match=r"mnist_m.tar.gz cannot be read .*00000003.png"):
        Digits("mnist_m", "handwritten", root=str(root)).load()


@pytest.mark.usefixtures("all_digits")
def test_handwritten_needs_no_file() -> None:
    _, handwritten = Digits("handwritten", "handwritten", size=8).load()
    assert sizes(handwritten) == (1797, None)
    assert handwritten.train.images.max() == 255  # type: ignore[attr-defined]
    data = Digits("handwritten", "handwritten", size=8, seed=0)
    data.setup("fit")
    assert [len(rows) for rows in data.evaluation_rows] == [180, 1797]


@pytest.mark.slow
def test_digits_of_both_domains_fill_their_frame(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(cache))  # where the fonts are rendered already
    data = Digits("fonts", "handwritten", size=16, fill=True)
    for domain in data.load():
        ink = domain.train.images[:, 0] >= 64  # type: ignore[attr-defined]
        assert (ink.any(2).float().mean(1) > 0.8).float().mean() > 0.97, "nearly all are as high as the frame"
    plain = Digits("fonts", "handwritten", size=16)
    assert plain.load()[0].train.images.float().mean() < data.load()[0].train.images.float().mean()  # type: ignore[attr-defined]
    assert data.fingerprint() != plain.fingerprint()
    with pytest.raises(UserError, match=r"svhn is in colour: leave fill out"):
        Digits("svhn", "mnist", fill=True)


def test_photos_blend_by_the_absolute_difference(tmp_path: Path) -> None:
    photo = np.zeros((30, 40, 3), np.uint8)
    photo[..., 0], photo[..., 2] = 200, 50
    Image.fromarray(photo).save(tmp_path / "a.png")
    digits = Images(torch.full((4, 1, 8, 8), 120, dtype=torch.uint8), torch.arange(4))
    blended = blend(digits, [tmp_path / "a.png"], seed=0)
    assert blended.images[:, :, 0, 0].tolist() == [[80, 120, 70]] * 4
    assert blended.labels is digits.labels


def test_photos_are_a_function_of_the_seed_and_differ_by_row(root: Path) -> None:
    first, second = (Digits("mnist", "usps+photos", root=str(root), seed=seed).load()[1] for seed in (0, 1))
    assert torch.equal(first.train.images, second.train.images)  # type: ignore[attr-defined]
    assert first.train.images.shape == (30, 3, 28, 28)  # type: ignore[attr-defined]
    assert len(first.train.images.flatten(1).unique(dim=0)) == 30  # type: ignore[attr-defined]
    assert not torch.equal(first.train.images[:20], first.test.images)  # type: ignore[attr-defined,union-attr]
    digits = Images(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), torch.arange(5))
    from tlda.data.photos import photographs

    one, two = (blend(digits, photographs(None), seed).images for seed in (0, 1))
    assert torch.equal(one, blend(digits, photographs(None), 0).images)
    assert not torch.equal(one, two)


def test_photographs_that_do_not_serve_are_named(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "notes.txt").write_text("no picture")

    def load() -> None:
        Digits("mnist", "usps+photos", root=str(root), photos=str(folder)).load()

    with pytest.raises(UserError, match=rf"no photograph in {folder}"):
        load()
    Image.new("RGB", (100, 20)).save(folder / "low.png")
    with pytest.raises(UserError, match=r"low.png is smaller than 28 x 28"):
        load()
    (folder / "low.png").write_bytes(b"\x89PNG cut")
    with pytest.raises(UserError, match=r"low.png cannot be read"):
        load()


@pytest.mark.slow
@needs("digits/MNIST/raw", "digits/usps/usps.h5")
def test_the_real_mnist_and_usps() -> None:
    data = Digits("mnist", "usps", root=REAL)
    mnist, usps = data.load()
    assert (sizes(mnist), sizes(usps)) == ((60000, 10000), (7291, 2007))
    assert mnist.train.labels.bincount()[:3].tolist() == [5923, 6742, 5958]
    assert usps.train.labels.bincount()[:3].tolist() == [1194, 1005, 731]
    assert data.fingerprint() == Digits("mnist", "usps", root=REAL).fingerprint()


@pytest.mark.slow
@needs("digits/mnist_m/mnist_m.tar.gz", "digits/MNIST/raw")
def test_the_real_mnist_m_has_seven_classes() -> None:
    _, mnist_m = Digits("mnist", "mnist_m", classes=list(range(7)), root=REAL).load()
    assert sizes(mnist_m) == (8177, None)
    assert mnist_m.train.labels.unique().tolist() == list(range(7))
    with pytest.raises(UserError, match=r"lacks the classes 7, 8, 9"):
        Digits("mnist", "mnist_m", root=REAL).load()


def test_several_targets_are_pooled_and_named(root: Path) -> None:
    data = Digits("mnist", ["usps", "mnist_m"], classes=list(range(7)), root=str(root), holdout=0.5)
    source, target = data.load()
    alone = [Digits("mnist", name, classes=list(range(7)), root=str(root)).load()[1] for name in ("usps", "mnist_m")]
    assert data.transfer == "mnist_to_usps+mnist_m"
    assert len(target.train) == sum(len(domain.train) for domain in alone)
    assert (source.train[torch.tensor([0])].x.shape[1], list(data.targets)) == (3, ["usps", "mnist_m"])
    with pytest.raises(UserError, match=r"--data\.target names no domain"):
        Digits("mnist", [], root=str(root))
