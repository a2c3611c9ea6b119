"""Cached features are what direct extraction gives: with two processes at once, one killed, and whatever changes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.conftest import HANDWRITTEN, Tlda
from tlda.backbones import Backbone, LeNet, Timm, Torchvision
from tlda.data import DomainPair, Features, Folders, Images, Relabelled, Translated
from tlda.data.cache import entries, mapped, prune, stored
from tlda.data.datasets import Datasets
from tlda.data.folding import folded
from tlda.data.rows import Domain
from tlda.errors import UserError
from tlda.nn import computes_in_bfloat16
from tlda.tasks import Classification
from tlda.tasks.measures import Measures

SIZE = 8
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "cache"))


class Net(Backbone):
    """A convolution with BatchNorm and dropout, which an extractor must freeze; weights from a file where one is named."""

    made = 0

    def __init__(self, num_features: int = 6, weights: str | None = None, gain: float = 1.0) -> None:
        super().__init__(num_features)
        Net.made += 1
        self.gain = gain
        self.layers = nn.Sequential(nn.Conv2d(3, num_features, 3), nn.BatchNorm2d(num_features), nn.Dropout(), nn.AdaptiveAvgPool2d(1))
        if weights:
            self.load_state_dict(torch.load(weights, weights_only=True))

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x).flatten(1) * self.gain
        return features


class Slow(Net):
    """Notes each batch in the file ``LOG`` and takes its time over it."""

    def features(self, x: Tensor) -> Tensor:
        if len(x) > 1:  # no probe
            with Path(os.environ["LOG"]).open("a") as log:
                log.write(f"{os.getpid()}\n")
            time.sleep(0.15)
        return super().features(x)


class Fixed(Backbone):
    """One value for every feature."""

    def __init__(self, value: float = 1.0, rows: int = 0) -> None:
        super().__init__(2)
        self.value, self.rows = value, rows

    def features(self, x: Tensor) -> Tensor:
        return torch.full((len(x) + self.rows, 2), self.value)


def write(path: Path, value: int) -> None:
    """A bitmap, whose size in bytes is the same whatever is on it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (12, 10), (value, 0, 255 - value))
    image.putpixel((3, 3), (255, 255, 0))
    image.save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for d, domain in enumerate(("source", "target")):
        for label, name in enumerate(("cat", "dog")):
            for number in range(18):
                write(tmp_path / "pets" / domain / name / f"{number:02}.bmp", 120 * label + 5 * number + 40 * d)
    return tmp_path / "pets"


def cached(root: Path, extractor: Any = Net, size: int = SIZE, **kwargs: Any) -> Features:
    return Features(Folders(str(root), size=size), extractor, **kwargs)


def rows_of(data: DomainPair, domain: int = 1) -> Tensor:
    rows = data.loaded[domain].train
    return rows[torch.arange(len(rows))].x


def direct(root: Path, extractor: Any = Net, size: int = SIZE, domain: int = 1) -> Tensor:
    """The features of every row at once, by the plainest code, in single precision."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = extractor().eval()
    images = rows_of(Folders(str(root), size=size, in_memory=False), domain)
    with torch.no_grad():
        return network(images.float() / 255)  # type: ignore[no-any-return]


def close(found: Tensor, expected: Tensor) -> bool:
    tolerance = 0.02 if computes_in_bfloat16(torch.device("cpu")) else 1e-3
    return bool((found - expected).abs().max() < tolerance * (1 + expected.abs().max()))


def test_features_are_those_of_the_frozen_network_and_computed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = cached(root)
    assert [close(rows_of(data, domain), direct(root, domain=domain)) for domain in (0, 1)] == [True, True]
    assert not close(rows_of(data, 0), direct(root))
    rows = data.loaded[1].train
    sample = rows[torch.tensor([19, 0])]
    assert (sample.x.dtype, sample.y.tolist(), sample.row.tolist()) == (torch.float32, [1, 0], [19, 0])
    assert (list(data.task.classes), data.transfer) == (["cat", "dog"], "source_to_target")
    assert data.describe_row(19) == str(root / "target" / "dog" / "01.bmp")
    assert data.fingerprint() == Folders(str(root), size=SIZE).fingerprint()
    made = Net.made
    monkeypatch.setattr("tlda.data.extractor.Extractor.__call__", lambda self, x: pytest.fail("computed again"))
    assert torch.equal(rows_of(cached(root)), rows_of(data))
    assert Net.made == made


def test_the_networks_weights_do_not_depend_on_the_seed_nor_the_seed_on_them(root: Path) -> None:
    draws = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        rows_of(cached(root, partial(Net, num_features=5)))
        draws.append(torch.rand(1))
        torch.manual_seed(seed)
        assert torch.rand(1) == draws[-1]
    assert len(list(features_in_cache())) == 2


def features_in_cache() -> list[Path]:
    return [entry.path for entry in entries() if entry.path.parent.name == "features"]


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_changed_image_of_the_same_size_is_computed_anew(root: Path, keep_times: bool) -> None:
    before = rows_of(cached(root))
    path = root / "target" / "dog" / "03.bmp"
    state = path.stat()
    write(path, 7)
    if keep_times:
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size
    after = rows_of(cached(root))
    assert close(after, direct(root))
    changed = (after != before).any(1).nonzero().flatten().tolist()
    assert changed == [21]


def test_a_row_that_comes_goes_or_moves_takes_its_feature_along(root: Path) -> None:
    rows_of(cached(root))
    (root / "target" / "cat" / "00.bmp").rename(root / "target" / "dog" / "99.bmp")
    write(root / "target" / "cat" / "04a.bmp", 200)
    (root / "target" / "dog" / "11.bmp").unlink()
    assert close(rows_of(cached(root)), direct(root))


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({"extractor": partial(Net, gain=2.0)}, SIZE),
        ({"extractor": partial(Net, num_features=4)}, SIZE),
        ({}, 10),
        ({"extractor": Slow}, SIZE),
    ],
)
def test_another_network_or_size_is_computed_anew(
    root: Path, change: dict[str, Any], size: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    rows_of(cached(root))
    assert close(rows_of(cached(root, size=size, **change)), direct(root, size=size, **change))
    assert len(features_in_cache()) == 4


def test_changed_weights_under_the_same_name_are_computed_anew(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    extractor = partial(Net, weights=str(path))
    for seed in (3, 4):
        torch.manual_seed(seed)
        torch.save(Net().state_dict(), path)
        assert close(rows_of(cached(root, extractor)), direct(root, extractor))


def test_a_network_of_ones_own_is_known_by_its_weights(root: Path) -> None:
    network = Net().train()
    for _ in range(2):
        before = [p.clone() for p in network.parameters()]
        images = rows_of(Folders(str(root), size=SIZE))
        with torch.no_grad():
            expected = network.eval()(images.float() / 255)
        network.train()
        assert close(rows_of(cached(root, network)), expected)
        assert close(rows_of(cached(root, lambda: network)), expected)
        assert network.training
        assert all(torch.equal(a, b) and b.requires_grad for a, b in zip(before, network.parameters(), strict=True))
        with torch.no_grad():
            network.layers[0].weight.mul_(3.0)  # type: ignore[operator]
    assert len(features_in_cache()) == 4


def load(root: Path) -> None:
    torch.set_num_threads(1)
    rows_of(cached(root, Slow))


def start(root: Path) -> Any:
    process = FORK.Process(target=load, args=(root,))
    process.start()
    return process


def test_of_two_processes_at_once_one_computes(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("LOG", str(log))
    processes = [start(root) for _ in range(2)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(log.read_text().split()) == 6  # three batches a domain
    assert close(rows_of(cached(root, Slow)), direct(root, Slow))
    assert len(features_in_cache()) == 2


def test_a_killed_process_leaves_nothing_that_is_read(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("LOG", str(log))
    process = start(root)
    while len(log.read_text().split()) < 5:  # in the midst of the target
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    cache = Path(os.environ["TLDA_CACHE"]) / "features"
    assert len(list(cache.glob("*.part"))) == 1
    assert len(features_in_cache()) == 1
    assert close(rows_of(cached(root, Slow)), direct(root, Slow))
    assert len(list(cache.glob("*.part"))) == 0


@pytest.mark.parametrize("damage", [b"", b"cut", None])
def test_a_damaged_entry_is_made_again(root: Path, damage: bytes | None) -> None:
    first = rows_of(cached(root))
    for path in features_in_cache():
        path.write_bytes(path.read_bytes()[:-20] if damage is None else damage)
    with pytest.warns(UserWarning, match="is damaged"):
        assert torch.equal(rows_of(cached(root)), first)
    assert torch.equal(rows_of(cached(root)), first)


def change(how: str, paths: list[Path]) -> None:
    """Change entries of features (n, 6) in half precision without changing their sizes."""
    contents = [path.read_bytes() for path in paths]
    begin = contents[0].index(b"\n") + 1
    if how == "swapped":
        changed = contents[::-1]
    elif how == "zeroed":
        changed = [data[:begin] + bytes(12) + data[begin + 12 :] for data in contents]
    elif how == "shuffled":
        changed = [data[:begin] + data[begin + 12 : begin + 24] + data[begin : begin + 12] + data[begin + 24 :] for data in contents]
    elif how == "type":
        changed = [data.replace(b"'<f2'", b"'<i2'") for data in contents]
    else:
        changed = [data.replace(b"(36, 6)", b"(6, 36)") for data in contents]
    for path, data in zip(paths, changed, strict=True):
        state = path.stat()
        path.write_bytes(data)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["swapped", "zeroed", "shuffled", "type", "shape"])
@pytest.mark.parametrize("large", [2**28, 0])
def test_an_entry_that_is_not_as_it_was_written_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch, how: str, large: int) -> None:
    monkeypatch.setattr("tlda.data.cache.LARGE", large)
    first = [rows_of(cached(root), domain) for domain in (0, 1)]
    time.sleep(0.02)  # a file system's clock is coarse
    change(how, features_in_cache())
    with pytest.warns(UserWarning, match="is damaged"):
        again = [rows_of(cached(root), domain) for domain in (0, 1)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_large_entry_is_read_as_a_whole_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlda.data.cache.LARGE", 100)

    def entry() -> Tensor:
        return mapped("images/large", 100, lambda: [torch.ones(100, 9, dtype=torch.uint8)])

    entry()
    with monkeypatch.context() as patch:
        patch.setattr("tlda.data.cache._begun", lambda *_: pytest.fail("hashed again"))
        assert entry().sum() == 900
        patch.setattr("tlda.data.cache.LARGE", 10_000)
        with pytest.raises(pytest.fail.Exception, match="hashed again"):
            entry()


@contextmanager
def short_of_space() -> Iterator[None]:
    """No file can be larger than 64 KB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("entry", [lambda: mapped("images/x", 900, lambda: [torch.ones(900, 900)]), lambda: stored("x", tensors)["x"]])
def test_a_full_disk_under_the_cache_is_said_and_the_run_goes_on(entry: Any) -> None:
    with pytest.warns(UserWarning, match=r"the cache .* cannot be written .*; set TLDA_CACHE to a folder that can"), short_of_space():
        assert entry().sum() == 810_000
    assert (entries(), list(Path(os.environ["TLDA_CACHE"]).rglob("*.part"))) == ([], [])


def tensors() -> dict[str, Tensor]:
    return {"x": torch.ones(900, 900)}


def test_stored_tensors_that_are_not_as_they_were_written_are_made_again() -> None:
    made = {"a": (torch.arange(5), torch.ones(3)), "n": torch.tensor(4)}
    other = {"a": (torch.arange(5).flip(0), torch.ones(3)), "n": torch.tensor(4)}
    stored("first", lambda: made)
    stored("second", lambda: other)
    paths = [Path(os.environ["TLDA_CACHE"]) / f"{name}.pt" for name in ("first", "second")]
    assert stored("first", lambda: pytest.fail("made again"))["a"][0].tolist() == [0, 1, 2, 3, 4]
    contents = [path.read_bytes() for path in paths]
    paths[0].write_bytes(contents[1])
    with pytest.warns(UserWarning, match="its checksum is another"):
        assert stored("first", lambda: made)["a"][0].tolist() == [0, 1, 2, 3, 4]
    torch.save(other, paths[1])
    with pytest.warns(UserWarning, match="its checksum is another"):
        assert stored("second", lambda: made)["n"] == 4


def test_a_cache_that_cannot_be_written_warns_and_goes_on(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="set TLDA_CACHE"):
        assert close(rows_of(cached(root)), direct(root))


@pytest.mark.parametrize(
    ("extractor", "says"),
    [
        (partial(Fixed, value=70000.0), "beyond half precision"),
        (partial(Fixed, value=float("nan")), "beyond half precision"),
        (partial(Fixed, rows=1), "one vector a row"),
        (LeNet, "1 channel"),
    ],
)
def test_what_cannot_be_kept_is_refused(root: Path, extractor: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        cached(root, extractor).load()
    assert features_in_cache() == []


def test_features_keep_the_pooled_domain_of_each_row(root: Path) -> None:
    shutil.copytree(root / "source", root / "other")
    data = Features(Folders(root=str(root), source=["source", "other"], target="target", size=SIZE), Net, balanced="domains", batch_size=2)
    source = data.loaded[0].train
    wrapped = data.data.loaded[0].train
    rows = torch.arange(len(source))
    assert torch.equal(source[rows].domain, wrapped[rows].domain)
    assert sorted(set(source[rows].domain.tolist())) == [0, 1]
    assert list(data.task.sources) == ["source", "other"]


def test_augmentation_is_refused(root: Path) -> None:
    from tlda.data import RandomHorizontalFlip

    with pytest.raises(UserError, match="leave augment out"):
        cached(root, augment=[RandomHorizontalFlip()])


def test_standardising_takes_the_statistics_that_it_says(root: Path) -> None:
    plain = [rows_of(cached(root), domain) for domain in (0, 1)]
    scales = [(x.mean(0), x.std(0, correction=0)) for x in plain]
    for how, by in (("source", (0, 0)), ("each", (0, 1))):
        data = cached(root, standardise=how)
        for domain in (0, 1):
            mean, std = scales[by[domain]]
            torch.testing.assert_close(rows_of(data, domain), (plain[domain] - mean) / std, rtol=1e-3, atol=1e-3)
    constant = rows_of(cached(root, Fixed, standardise="each"))
    assert torch.equal(constant, torch.zeros_like(constant))


class Split(DomainPair):
    """Domains with rows that are kept apart, and some without labels."""

    task = Classification(["a", "b"])

    def load(self) -> tuple[Domain, Domain]:
        def images(n: int, low: int) -> Images:
            generator = torch.Generator().manual_seed(n)
            return Images(torch.randint(low, 256, (n, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator), torch.arange(n) % 2)

        return Domain("s", images(5, 0), images(3, 0)), Domain("t", images(6, 50), images(4, 50), unlabelled=images(7, 200))


def test_every_part_of_a_domain_has_features(root: Path) -> None:
    plain, each = Features(Split(), Net).loaded[1], Features(Split(), Net, standardise="each").loaded[1]
    assert plain.test is not None
    assert each.test is not None
    assert [len(rows) for rows in plain.splits] == [6, 4, 7]
    training = torch.cat([rows[torch.arange(len(rows))].x for rows in (plain.train, plain.unlabelled)])  # type: ignore[arg-type, index]
    test = plain.test[torch.arange(4)].x
    expected = (test - training.mean(0)) / training.std(0, correction=0)
    torch.testing.assert_close(each.test[torch.arange(4)].x, expected, rtol=1e-3, atol=1e-3)


def test_data_sets_in_python_are_known_by_what_they_hold() -> None:
    torch.manual_seed(0)
    images = [torch.rand(3, SIZE, SIZE) for _ in range(6)]

    def data() -> Features:
        items: Any = [(image, i % 2) for i, image in enumerate(images)]
        return Features(Datasets(items, items), Net)

    first = rows_of(data())
    images[4] = images[4].clone().mul_(0.5)
    assert (rows_of(data()) != first).any(1).nonzero().flatten().tolist() == [4]


def test_the_least_recently_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def entry(name: str) -> Tensor:
        return mapped(f"images/{name}", 100, lambda: [torch.zeros(100, 9, dtype=torch.uint8)])

    for age, name in enumerate(("a", "b", "c")):
        entry(name)
        os.utime(Path(os.environ["TLDA_CACHE"]) / "images" / f"{name}.npy", (1000 + age, 1000 + age))
    entry("a")
    monkeypatch.setenv("TLDA_CACHE_LIMIT", "4KB")
    kept = entry("d")
    assert [found.path.stem for found in entries()] == ["c", "a", "d"]
    monkeypatch.setenv("TLDA_CACHE_LIMIT", "1KB")
    assert len(entry("e")) == 100
    assert [found.path.stem for found in entries()] == ["e"]
    assert not kept.any()  # what a process maps outlives its entry
    prune(0)
    assert list((Path(os.environ["TLDA_CACHE"]) / "images").iterdir()) == []
    monkeypatch.setenv("TLDA_CACHE_LIMIT", "a lot")
    with pytest.raises(UserError, match="TLDA_CACHE_LIMIT is 'a lot'"):
        entry("f")


def test_what_is_being_made_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("LOG", str(log))
    process = start(root)
    while not log.read_text().split():
        time.sleep(0.01)
    prune(0)
    process.join(60)
    assert process.exitcode == 0
    assert close(rows_of(cached(root, Slow)), direct(root, Slow))


class Twice(nn.Module):
    """A convolution whose output goes to more than the BatchNorm, or which runs twice."""

    def __init__(self, again: bool) -> None:
        super().__init__()
        self.conv, self.norm, self.again = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), again

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.norm(self.conv(y)) if self.again else self.norm(y) + y  # type: ignore[no-any-return]


def scattered(network: nn.Module) -> nn.Module:
    """``network`` with statistics that a mistake would show in."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.3, 0.9)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("make", [Net, lambda: Timm("test_efficientnet", weights=None), lambda: Torchvision("resnet18", weights=None)])
def test_folding_takes_every_batchnorm_and_changes_nothing_else(make: Any) -> None:
    network = scattered(make())
    x = torch.rand(2, 3, 32, 32)
    found = folded(network, x)
    assert (norms(found), norms(network) > 0) == (0, True)
    y = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found(y), network(y), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("again", [True, False])
def test_a_convolution_that_is_used_otherwise_is_not_folded(again: bool) -> None:
    network = scattered(Twice(again))
    assert folded(network, torch.rand(2, 3, 4, 4)) is network


def test_features_are_measured_as_their_data_are(root: Path) -> None:
    class Counted(Split):
        task = Classification(["cat", "dog"], ["macro_f1"])

    data = Features(Counted(), Net)
    assert "macro_f1" in Measures(data.task).first.scores["test"][1]


def test_data_that_features_would_lose_a_part_of_are_refused() -> None:
    with pytest.raises(UserError, match="cached features have one task, and Relabelled has several"):
        Features(Relabelled(Split()), Net)
    with pytest.raises(UserError, match=r"--data.translated is for images themselves, .* not for Features"):
        Features(Split(), Net, translated=Translated("folder"))
    with pytest.raises(UserError, match="not for Features"):
        Features(Split(translated=Translated("folder")), Net)


OVERLAY = """
trainer: {max_epochs: 1, precision: 32, logger: false, enable_progress_bar: false}
model:
  class_path: DANN
  init_args: {backbone: {class_path: Precomputed, init_args: {num_features: 12}}, bottleneck: 8}
data:
  class_path: Features
  init_args:
    data: {class_path: Digits, init_args: {source: fonts, target: handwritten, size: 16}}
    extractor: {class_path: LeNet, init_args: {size: 16, num_features: 12}}
    standardise: each
    batch_size: 8
    steps: 2
"""


@pytest.mark.slow
def test_the_command_line_trains_and_predicts_on_features(tlda: Tlda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(cache))  # where the fonts are rendered already
    (tmp_path / "features.yaml").write_text(OVERLAY)
    fit = tlda("fit", "-c", "features.yaml", "--trainer.default_root_dir", "runs")
    assert fit.code == 0, fit.err
    (checkpoint,) = tmp_path.glob("runs/fonts_to_handwritten/DANN/*/checkpoints/last.ckpt")
    predict = tlda("predict", "--ckpt_path", checkpoint, "--output", "out.csv")
    assert predict.code == 0, predict.err
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + HANDWRITTEN
    wrong = tlda("fit", "-c", "features.yaml", "--data.extractor.size", "x")
    assert wrong.sentences == ["tlda: bad value 'x' of --data.extractor.size: it takes a whole number"]
    listed = tlda("data", "cache")
    assert "features/handwritten-LeNet-" in listed.out
    assert str(cache) in listed.out


def test_the_command_lists_and_clears_the_cache(root: Path, tlda: Tlda) -> None:
    rows_of(cached(root))
    assert len(tlda("data", "cache").out.splitlines()) == 5
    assert tlda("data", "cache", "--limit", "12KB").out.startswith("tlda: dropped 1 entries, 6.9 KB")
    assert tlda("data", "cache", "--clear").out.startswith("tlda: dropped 3 entries")
    assert entries() == []
    assert tlda("data", "cache", "--limit", "much").sentences == ["tlda: --limit is 'much': it is a size such as 20GB or 500MB"]
    assert "did you mean 'cache'" in tlda("data", "cach").err
    assert close(rows_of(cached(root)), direct(root))


def test_where_the_wrapped_data_lie_decides_no_result() -> None:
    from tlda.config.protocol import lines

    def of(**options: Any) -> dict[str, Any]:
        data = {"class_path": "Features", "init_args": {"data": {"class_path": "Folders", "init_args": options}}}
        return lines({"model": {"class_path": "DANN", "init_args": {}}, "data": data, "trainer": {}})

    assert of(root="/here", size=8, num_workers=2) == of(root="/there", size=8)
    assert of(root="/here", size=8) != of(root="/here", size=10)
