"""The image sets of the field, as tiny files in their distributors' layouts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import REPO
from tests.helpers.tiny_files import needs
from tlda.data import PACS, DomainNet, Folders, Office31, OfficeCaltech10, OfficeCaltech10SURF, OfficeHome, TinyImageNet, VisDA2017
from tlda.data import objects as published
from tlda.data.holding import shots
from tlda.errors import UserError
from tlda.losses import coral_align

FAMILIES: list[type[Folders]] = [OfficeCaltech10, Office31, OfficeHome, VisDA2017, DomainNet, PACS]


def write(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (value, 0, 0)).save(path)


def fill(root: Path, *folders: str, classes: Iterable[str] = "ab", count: int = 2) -> None:
    for folder in folders:
        for name in classes:
            for i in range(count):
                write(root / folder / name / f"{i}.png")


def loaded(family: type[Folders], root: Path, source: Any = None, target: Any = None, **kwargs: Any) -> Folders:
    data = family(str(root), source, target, size=8, seed=0, **kwargs)
    with pytest.warns(UserWarning, match="of the .* images that were published"):
        data.setup("fit")
    return data


@pytest.mark.parametrize(
    ("family", "source", "target", "folders"),
    [
        (OfficeCaltech10, "amazon", "caltech10", ("office_caltech10/images/amazon", "office_caltech10/images/caltech10")),
        (OfficeCaltech10, "amazon", "caltech10", ("office-caltech/amazon", "office-caltech/caltech")),
        (Office31, "amazon", "dslr", ("office31/amazon/images", "office31/dslr/images")),
        (Office31, "amazon", "dslr", ("amazon", "dslr")),
        (OfficeHome, "art", "real_world", ("office_home/Art", "office_home/Real World")),
        (OfficeHome, "clipart", "real_world", ("OfficeHome/Clipart", "OfficeHome/Real_World")),
        (VisDA2017, None, None, ("visda-2017/train", "visda-2017/validation")),
        (DomainNet, "quickdraw", "real", ("domainnet/quickdraw", "domainnet/real")),
        (PACS, "photo", "sketch", ("PACS/kfold/photo", "PACS/kfold/sketch")),
    ],
)
def test_the_distributors_folders(family: type[Folders], source: Any, target: Any, folders: tuple[str, str], tmp_path: Path) -> None:
    fill(tmp_path, *folders)
    data = loaded(family, tmp_path, source, target)
    assert list(data.task.classes) == ["a", "b"]
    assert [len(domain.train) for domain in data.loaded] == [4, 4]
    assert Path(data.describe_row(0)).parent == tmp_path / folders[1] / "a"


def test_classes_that_distributors_call_otherwise_are_one(tmp_path: Path) -> None:
    for path in ("amazon/backpack", "amazon/mug", "dslr/back_pack", "dslr/mug"):
        write(tmp_path / path / "0.png")
        write(tmp_path / path / "1.png")
    assert list(loaded(OfficeCaltech10, tmp_path, "amazon", "dslr").task.classes) == ["backpack", "mug"]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_unknown_domain_is_named_with_the_nearest(family: type[Folders], tmp_path: Path) -> None:
    first, second = list(family.layout.domains)[:2]
    with pytest.raises(UserError, match=rf"{family.__name__} has no domain '{first}x'; did you mean '{first}'\?"):
        family(str(tmp_path), f"{first}x", second)
    with pytest.raises(
        UserError, match=rf"has no '{first}' of {family.__name__}: put its class folders into .*or give another --data.root"
    ):
        family(str(tmp_path), first, second).setup("fit")


def test_the_published_counts_add_up() -> None:
    def totals(table: dict[str, dict[str, int]]) -> list[int]:
        return [sum(counts.values()) for counts in table.values()]

    assert totals(published.OFFICE_31) == [2817, 498, 795]
    assert totals(published.OFFICE_CALTECH_10) == [958, 1123, 157, 295]
    assert totals(published.VISDA_2017) == [152397, 55388]
    assert sum(totals(published.PACS_COUNTS)) == 9991
    assert sum(DomainNet.layout.counts.values()) == 586575  # type: ignore[arg-type]
    assert sum(OfficeHome.layout.counts.values()) == 15588  # type: ignore[arg-type]
    shared = {"back_pack": "backpack", "laptop_computer": "laptop"}
    renamed = {shared.get(name, name): count for name, count in published.OFFICE_31["webcam"].items()}
    assert {name: renamed[name] for name in published.OFFICE_CALTECH_10["webcam"]} == published.OFFICE_CALTECH_10["webcam"]


@pytest.mark.slow
def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for name, count in published.PACS_COUNTS["sketch"].items():
        for i in range(3 if name == "dog" else count):
            (tmp_path / "sketch" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "sketch" / name / f"{i}.png").touch()
    found = PACS.layout.find(tmp_path, "sketch")
    assert PACS.layout.shortfall("sketch", found.counts) == "PACS's sketch has 3160 of the 3929 images that were published (dog 3 of 772)"
    assert PACS.layout.shortfall("sketch", published.PACS_COUNTS["sketch"]) is None
    assert "bird 1, which is no class of it" in (PACS.layout.shortfall("sketch", published.PACS_COUNTS["sketch"] | {"bird": 1}) or "")
    assert OfficeHome.layout.shortfall("art", {"Bed": 2427}) is None
    assert OfficeHome.layout.shortfall("art", {"Bed": 2}) == "OfficeHome's art has 2 of the 2427 images that were published"


def test_a_whole_domain_is_loaded_without_a_word(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    for domain in ("dslr", "webcam"):
        for name, count in published.OFFICE_CALTECH_10[domain].items():
            for i in range(count):
                write(tmp_path / domain / name / f"{i}.png")
    OfficeCaltech10(str(tmp_path), "dslr", "webcam", size=8, in_memory=False).setup("fit")
    assert not [warning for warning in recwarn if "published" in str(warning.message)]


# Lists


def write_list(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def test_lists_say_which_images_take_part(tmp_path: Path) -> None:
    fill(tmp_path, "photo", "sketch", count=4)
    # TLLib's lists of PACS count the classes from 1.
    write_list(tmp_path / "image_list/photo_all.txt", "photo/a/0.png 1", "photo/b/0.png 2", "photo/b/3.png 2")
    data = loaded(PACS, tmp_path, "photo", "sketch")
    assert data.loaded[0].train.labels.tolist() == [0, 1, 1]
    assert [len(domain.train) for domain in data.loaded] == [3, 8]


def test_lists_of_one_s_own_and_names_with_spaces(tmp_path: Path) -> None:
    fill(tmp_path, "source", "target")
    write(tmp_path / "source/a/with a space.png")
    write_list(tmp_path / "image_list/source.txt", "source/a/with a space.png 0", "source/b/1.png 1", "source/b/0.png 1")
    data = Folders(str(tmp_path), size=8)
    data.setup("fit")
    assert data.loaded[0].train.labels.tolist() == [0, 1, 1]


def test_a_list_beside_its_images(tmp_path: Path) -> None:
    fill(tmp_path, "train", "validation")
    write_list(tmp_path / "train/image_list.txt", "a/0.png 0", "b/1.png 1", "b/0.png 1")
    assert len(loaded(VisDA2017, tmp_path).loaded[0].train) == 3


@pytest.mark.slow
def test_domainnet_keeps_its_test_images_apart(tmp_path: Path) -> None:
    fill(tmp_path, "real", "sketch", count=3)
    for domain in ("real", "sketch"):
        write_list(tmp_path / f"{domain}_train.txt", *(f"{domain}/{c}/{i}.png {c == 'b':d}" for c in "ab" for i in (0, 1)))
        write_list(tmp_path / f"{domain}_test.txt", f"{domain}/b/2.png 1")
    data = loaded(DomainNet, tmp_path, "real", "sketch")
    assert [(len(d.train), d.test.labels.tolist()) for d in data.loaded] == [(4, [1]), (4, [1])]  # type: ignore[union-attr]
    assert data.describe_row(0) == str(tmp_path / "sketch/b/2.png")
    assert len(data.evaluation_rows[1]) == 1


def test_lists_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "photo", "sketch")
    place = tmp_path / "image_list/photo.txt"
    write_list(place, "photo/a/0.png 0", "photo/a/7.png 0", "photo/b/0.png 1")
    with pytest.raises(UserError, match=r"1 images on the list of 'photo' are not there, the first: .*photo/a/7.png"):
        PACS(str(tmp_path), "photo", "sketch", size=8).setup("fit")
    write_list(place, "photo/a/0.png 0", "photo/b/0.png 0")
    with pytest.raises(UserError, match="two folders one"):
        PACS(str(tmp_path), "photo", "sketch", size=8).setup("fit")
    write_list(place, "photo/a/0.png cat")
    with pytest.raises(UserError, match=r"photo.txt cannot be read .*its lines are PATH LABEL"):
        PACS(str(tmp_path), "photo", "sketch", size=8).setup("fit")
    write_list(place, "photo/a/9.png 0")
    with pytest.raises(UserError, match=r"none of the 1 images on .*photo.txt is there"):
        PACS(str(tmp_path), "photo", "sketch", size=8).setup("fit")


# Several sources


def test_several_sources_are_pooled(tmp_path: Path) -> None:
    fill(tmp_path, "photo", "cartoon", "sketch", "art_painting")
    data = loaded(PACS, tmp_path, ["photo", "cartoon", "sketch"], "art_painting")
    assert [len(domain.train) for domain in data.loaded] == [12, 4]
    assert data.loaded[0].train.labels.tolist() == [0, 0, 1, 1] * 3
    assert data.transfer == "photo+cartoon+sketch_to_art_painting"


def test_what_is_named_twice_and_a_target_among_the_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'photo' is in --data.source and in --data.target, whose labels would be trained on"):
        PACS(str(tmp_path), ["sketch", "photo"], "photo")
    with pytest.raises(UserError, match=r"--data.source names 'photo' twice"):
        PACS(str(tmp_path), ["photo", "sketch", "photo"], "cartoon")
    with pytest.raises(UserError, match=r"--data.classes names 'dog' twice"):
        PACS(str(tmp_path), "photo", "cartoon", classes=["dog", "dog", "horse"])


def test_pooled_sources_need_the_same_classes(tmp_path: Path) -> None:
    fill(tmp_path, "one", "three")
    fill(tmp_path, "two", classes="abc")
    with pytest.raises(UserError, match=r"only 'two' has c; give --data.classes \[a,b\]"):
        Folders(str(tmp_path), ["one", "two"], "three", size=8).setup("fit")
    data = Folders(str(tmp_path), ["one", "two"], "three", size=8, classes=["b", "a"])
    data.setup("fit")
    assert data.loaded[0].train.labels.tolist() == [0, 0, 1, 1] * 2


def test_sources_are_given_on_the_command_line_as_a_list(tmp_path: Path) -> None:
    from tlda.config.build import resolve

    init = {"root": str(tmp_path), "target": "sketch"}
    model = {"class_path": "SourceOnly", "init_args": {"backbone": {"class_path": "LeNet"}}}
    for given in (["photo", "cartoon"], "photo"):
        data = {"class_path": "PACS", "init_args": {**init, "source": given}}
        assert resolve({"model": model, "data": data})["data"]["init_args"]["source"] == given


@pytest.mark.parametrize(("name", "family", "count"), [("office_caltech10", OfficeCaltech10, 12), ("pacs", PACS, 16)])
def test_each_task_names_domains_that_there_are(name: str, family: type[Folders], count: int) -> None:
    import yaml

    tasks = yaml.safe_load((REPO / f"benchmarks/tables/{name}.yaml").read_text())["tasks"]
    assert len(tasks) == count
    for task, overlay in tasks.items():
        domains = overlay["data"]["init_args"]["data"]["init_args"]
        source = domains["source"] if isinstance(domains["source"], list) else [domains["source"]]
        assert {*source, domains["target"]} <= set(family.layout.domains)
        assert domains["target"] not in source
        assert task == (f"{source[0]}_{domains['target']}" if len(source) == 1 else f"others_{domains['target']}")


# SURF


def write_surf(path: Path, count: int = 40, seed: int = 0) -> None:
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    savemat(path, {"fts": random.integers(0, 9, (count, 12)).astype(np.uint8), "labels": np.arange(count)[:, None] % 10 + 1})


def test_surf_rows_sum_to_one_and_then_have_no_mean(tmp_path: Path) -> None:
    write_surf(tmp_path / "office_caltech10/features/surf/amazon.mat")
    write_surf(tmp_path / "office_caltech10/Caltech10_SURF_L10.mat", 50, seed=1)
    data = OfficeCaltech10SURF("amazon", "caltech10", root=str(tmp_path), seed=0)
    data.setup("fit")
    source = data.loaded[0].train[torch.arange(40)]
    assert (source.x.dtype, tuple(source.x.shape), source.y[:11].tolist()) == (torch.float32, (40, 12), [*range(10), 0])
    assert torch.allclose(source.x.mean(0), torch.zeros(12), atol=1e-6)
    assert torch.allclose(source.x.std(0), torch.ones(12), atol=1e-5)
    assert len(data.loaded[1].train) == 50
    counts = np.random.default_rng(0).integers(0, 9, (40, 12)).astype(float)
    shares = counts / counts.sum(1, keepdims=True)
    assert np.allclose(source.x.numpy(), (shares - shares.mean(0)) / shares.std(0, ddof=1), atol=1e-5)


def test_surf_rows_are_drawn_by_the_seed(tmp_path: Path) -> None:
    labels = torch.arange(300) % 10

    def draws(seed: int) -> torch.Tensor:
        return shots(300, labels, 20, 10, seed)

    rows = draws(1)
    assert torch.bincount(labels[rows]).tolist() == [20] * 10
    assert rows.tolist() == draws(1).tolist() != draws(2).tolist()
    for name, count in (("dslr", 120), ("webcam", 300)):
        write_surf(tmp_path / f"{name}.mat", count)
    drawn = OfficeCaltech10SURF("dslr", "webcam", draw="gfk", root=str(tmp_path), seed=0).load()
    assert [len(domain.train) for domain in drawn] == [80, 300]


def test_the_fingerprint_of_drawn_surf_rows_does_not_follow_the_seed(tmp_path: Path) -> None:
    for name, count in (("dslr", 120), ("webcam", 300)):
        write_surf(tmp_path / f"{name}.mat", count)
    options: list[dict[str, Any]] = [{"draw": "gfk", "seed": 0}, {"draw": "gfk", "seed": 1}, {"seed": 0}]
    first, second, whole = (OfficeCaltech10SURF("dslr", "webcam", root=str(tmp_path), **o).fingerprint() for o in options)
    assert first == second != whole


def test_surf_files_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no domain 'dsrl'; did you mean 'dslr'"):
        OfficeCaltech10SURF("dsrl", "webcam")
    with pytest.raises(UserError, match=r"no SURF features of 'dslr': put them at .*features/surf/dslr.mat"):
        OfficeCaltech10SURF("dslr", "webcam", root=str(tmp_path)).load()
    (tmp_path / "dslr.mat").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"dslr.mat cannot be read"):
        OfficeCaltech10SURF("dslr", "webcam", root=str(tmp_path)).load()


def test_aligned_features_have_the_target_s_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(200, 5, generator=generator) @ torch.randn(5, 5, generator=generator) for _ in range(2))
    aligned = coral_align(source, target, ridge=1e-9)
    assert torch.allclose(torch.cov(aligned.T), torch.cov(target.double().T), atol=1e-6)
    assert torch.allclose(coral_align(source, source), source.double(), atol=1e-8)


def test_the_committed_surf_page_is_what_its_results_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(REPO / "benchmarks/surf"), *sys.path])
    import measure  # type: ignore[import-not-found]

    folder = REPO / "benchmarks/surf"
    results = json.loads((folder / "results.json").read_text())
    assert (folder / "README.md").read_text() == measure.page(results)
    published_nearest = measure.PUBLISHED["1-NN"]
    for task, accuracy in results["accuracy"]["1-NN"].items():
        assert 100 * accuracy == pytest.approx(published_nearest[task], abs=0.006), task
    assert 100 * np.mean(list(results["accuracy"]["1-NN"].values())) == pytest.approx(published_nearest["average"], abs=0.05)


# The real data


@needs("office_caltech10/features/surf", "office_caltech10/images")
def test_the_real_surf_gives_the_published_nearest_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.helpers.tiny_files import REAL

    data = OfficeCaltech10SURF("webcam", "dslr", root=REAL, seed=0)
    (source, target), images = data.load(), OfficeCaltech10(REAL, "webcam", "dslr", size=8)
    xs, xt = (domain.train[torch.arange(len(domain.train))] for domain in (source, target))
    found = xs.y[torch.cdist(xt.x.double(), xs.x.double()).argmin(1)]
    assert 100 * (found == xt.y).double().mean() == pytest.approx(59.24, abs=0.01)
    # The rows of the features are those of the images, class by class.
    counts = {name: len(files) for name, files in images.found["dslr"].train.items()}
    assert torch.bincount(xt.y).tolist() == list(counts.values())


def test_tiny_imagenet_has_the_names_of_its_numbers(tmp_path: Path) -> None:
    fill(tmp_path, "tiny-imagenet-200/train", "tiny-imagenet-200/val", classes=("n2", "n1"))
    words = tmp_path / "tiny-imagenet-200/words.txt"
    words.write_text("n1\tzebra, Equus\nn2\tEgyptian cat\nn3\tapple\n")
    data = loaded(TinyImageNet, tmp_path)
    assert list(data.task.classes) == ["Egyptian cat", "zebra"]
    rows = data.loaded[0].train
    assert [rows.paths[row].parent.name for row in range(4)] == ["n2", "n2", "n1", "n1"]  # type: ignore[attr-defined]
    assert rows.labels.tolist() == [0, 0, 1, 1]
    words.write_text("n1\tzebra\n")
    with pytest.raises(UserError, match=r"words\.txt does not name the class 'n2'"):
        _ = TinyImageNet(str(tmp_path)).task
    words.write_text("n1\tcrane\nn2\tcrane, bird\n")
    with pytest.raises(UserError, match="gives two classes of TinyImageNet one name"):
        _ = TinyImageNet(str(tmp_path)).task
