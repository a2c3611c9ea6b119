"""Episodes: one list for all, examples that are no queries, classes that are held out, and Omniglot's own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.helpers.toy import Toy
from tests.helpers.toys import Codes, episodes
from tlda.batch import Sample
from tlda.data import Episodes, Omniglot
from tlda.data.episode_rows import EpisodeRows, in_order
from tlda.errors import UserError
from tlda.metrics.intervals import Interval, paired_interval
from tlda.tasks import FewShot, Place


def drawn(data: Episodes, number: int = 1) -> list[Any]:
    data.setup("fit")
    return list(data.test_dataloader()[number])


def test_an_episode_has_examples_then_other_rows_of_the_same_classes() -> None:
    for number, classes in ((0, range(8)), (1, range(8, 14))):
        for episode in drawn(episodes(), number):
            assert episode.support.tolist() == [True] * 4 + [False] * 6
            assert episode.y.tolist() == [0, 0, 1, 1, 0, 0, 0, 1, 1, 1]
            rows = episode.row.tolist()
            assert len(set(rows)) == 10
            named = Codes().loaded[number].train.labels[episode.row]
            assert in_order(named).tolist() == episode.y.tolist()
            assert set(named.tolist()) <= set(classes)


def test_no_seed_changes_the_list_and_epochs_of_training_differ() -> None:
    first, second = ([episode.row.tolist() for episode in drawn(episodes(seed=seed))] for seed in (0, 1))
    assert first == second
    orders = []
    for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0)):
        sampler = training(episodes(seed=seed))
        sampler.set_epoch(epoch)
        orders.append(torch.stack(list(sampler)))
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[3])


def training(data: Episodes, rank: int = 0, world: int = 1) -> Any:
    data.setup("fit")
    return data.sampler(data.training_rows()["episode"], 6, data.seed, rank, world, "episode")


def test_two_processes_share_the_episodes_of_one() -> None:
    whole = torch.stack(list(training(episodes(seed=0))))
    data = episodes(seed=0, steps=3)
    data.setup("fit")
    rows = data.training_rows()["episode"]
    halves = [torch.stack(list(data.sampler(rows, 3, 0, rank, 2, "episode"))) for rank in (0, 1)]
    assert torch.equal(torch.stack(halves, 1).flatten(0, 1), whole)


def test_classes_are_held_out_whole() -> None:
    data = episodes()
    data.setup("fit")
    train, held = data.training_rows()["source"].labels, data.evaluation_rows[0].labels
    assert len(set(train.tolist())) == 5
    assert len(set(held.tolist())) == 3
    assert not set(train.tolist()) & set(held.tolist())


def test_examples_of_the_source_and_queries_of_the_target() -> None:
    data = Episodes(Toy(), ways=3, shots=2, queries=4, episodes=5, holdout=0.9, support="source")
    data.domains = data.loaded
    labels = torch.cat([domain.train.labels for domain in data.loaded])
    rows = data.listed(1)
    assert len(rows) == 5
    for episode in rows:
        assert (episode[:6] < 192).all()
        assert (episode[6:] >= 192).all()
        assert in_order(labels[episode]).tolist() == [0, 0, 1, 1, 2, 2, *[0] * 4, *[1] * 4, *[2] * 4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: drawn(episodes(ways=7)), "'known' has 3 classes with 2 examples and 3 queries, and an episode needs 7"),
        (lambda: drawn(episodes(shots=20)), "has 0 classes with 20 examples"),
        (lambda: episodes(ways=1).task, "--data.ways is 1"),
        (lambda: episodes(queries=0), "--data.queries is 0"),
        (lambda: episodes(balanced=True), "--data.balanced means nothing for episodes"),
        (lambda: Episodes(Codes(batch_size=3)), "batch_size 3 of Codes does nothing here"),
    ],
)
def test_bad_input_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()


def test_the_interval_is_over_episodes() -> None:
    interval, other = Interval(), Interval()
    for right, another in (([0, 0, 1, 1], [0, 0, 1, 1]), ([0, 1, 1, 1], [1, 1, 1, 1]), ([1, 1, 1, 1], [1, 1, 0, 1])):
        for metric, said in ((interval, right), (other, another)):
            metric.update(torch.eye(2)[torch.tensor(said)], Sample(torch.empty(4), torch.tensor([0, 0, 1, 1]), torch.arange(4)))
    assert interval.by_episode.tolist() == [1.0, 0.75, 0.5]
    assert float(interval.compute()) == pytest.approx(1.96 * 0.25 / 3**0.5)
    assert paired_interval(interval.by_episode, other.by_episode) == pytest.approx((1 / 6 + 0.0, 1.96 * 0.14433757 / 3**0.5), abs=1e-6)
    assert set(FewShot(2).metrics(Place("new", "target"))) == {"accuracy", "interval"}


def picture(value: int) -> bytes:
    """A white drawing with black ink, as Omniglot's are: as many black rows as ``value``."""
    pixels = torch.full((105, 105), 255, dtype=torch.uint8)
    pixels[:value] = 0
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).convert("1").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Archives as the distributor's: small1 has the alphabets A and B, small2 B and C."""
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "omniglot").mkdir()
    for name, alphabets in (("small1", "AB"), ("small2", "BC")):
        with ZipFile(tmp_path / f"omniglot/images_background_{name}.zip", "w") as archive:
            for letter in alphabets:
                for character in (1, 2):
                    for person in (1, 2, 3):
                        path = f"images_background_{name}/{letter}/character{character:02}/0{ord(letter)}{character}_{person:02}.png"
                        archive.writestr(path, picture(ord(letter) - 60 + 10 * character))
    with ZipFile(tmp_path / "omniglot/all_runs.zip", "w") as archive:
        for run in range(1, 21):
            pairs = [(item, 1 + item % 20) for item in range(1, 21)]
            for item, answer in pairs:
                archive.writestr(f"run{run:02}/training/class{item:02}.png", picture(item))
                archive.writestr(f"run{run:02}/test/item{item:02}.png", picture(answer))
            lines = [f"run{run:02}/test/item{item:02}.png run{run:02}/training/class{answer:02}.png" for item, answer in pairs]
            archive.writestr(f"run{run:02}/class_labels.txt", "\n".join(lines))
    return tmp_path


def test_omniglot_has_new_alphabets_in_the_target_and_turned_characters_in_the_source(folder: Path) -> None:
    data = Omniglot(root=str(folder), size=35)
    source, target = (domain.train for domain in data.loaded)
    assert len(source) == 4 * 12
    assert source.labels.bincount().tolist() == [3] * 16
    assert [data.task.classes[label] for label in sorted(set(target.labels.tolist()))] == ["C/character01", "C/character02"]
    assert data.task.classes[4:6] == ["A/character02 0", "A/character02 90"]
    x = source[torch.arange(len(source))].x
    assert x.shape == (48, 1, 35, 35)
    upright = x[source.labels == 4][0, 0].float()
    assert upright[0].mean() > 250  # ink is white, and at the top
    assert torch.equal(torch.rot90(upright), x[source.labels == 5][0, 0].float())
    assert data.describe_row(0) == "images_background_small2/C/character01/0671_01.png"
    with pytest.raises(UserError, match="are both small1"):
        Omniglot(target="small1")
    with pytest.raises(UserError, match=r"small1\.zip is missing"):
        Omniglot(target="runs", root=str(folder / "none")).loaded  # noqa: B018


def test_the_runs_of_the_authors_are_as_given(folder: Path) -> None:
    data = Episodes(Omniglot(root=str(folder), target="runs"), ways=20, shots=1, queries=1, holdout=0.5)
    data.setup("test")
    rows = data.listed(1)
    assert len(rows) == 20
    episode = EpisodeRows(data.loaded[1].train, 1)[rows[3]]
    assert episode.support.sum() == 20
    assert episode.y[:20].tolist() == list(range(20))
    assert episode.y[20:].tolist() == [item % 20 for item in range(1, 21)]
    heights = episode.x[:, 0].float().mean((1, 2))
    nearest: Tensor = (heights[20:, None] - heights[:20]).abs().argmin(1)
    assert torch.equal(nearest, episode.y[20:])


@pytest.mark.parametrize("options", [{"ways": 5}, {"ways": 20, "shots": 2}, {"ways": 20, "support": "source"}])
def test_options_that_the_given_runs_have_not_are_refused(folder: Path, options: Any) -> None:
    data = Episodes(Omniglot(root=str(folder), target="runs"), **options)
    with pytest.raises(UserError, match=r"the episodes of 'runs' are given, of 20 classes .* --data.ways 20 --data.shots 1"):
        data.setup("fit")
