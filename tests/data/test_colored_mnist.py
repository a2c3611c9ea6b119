"""Coloured MNIST: labels, colours and environments, on tiny files in MNIST's form."""

from pathlib import Path

import pytest
import torch

from tlda.data import ColoredMNIST, Domain
from tlda.errors import UserError


def colours(domain: Domain) -> tuple[torch.Tensor, torch.Tensor]:
    """The channel and the label of each training row of a domain."""
    sample = domain.train[torch.arange(len(domain.train))]
    return (sample.x[:, 1].flatten(1).amax(1) > 0).long(), sample.y


def test_without_noise_the_label_is_the_digits_half_and_the_colour_is_the_labels(root: Path) -> None:
    data = ColoredMNIST(environments=[0.0, 1.0], test=0.0, label_noise=0.0, root=str(root))
    source, target = data.load()
    sample = source.train[torch.arange(len(source.train))]
    assert tuple(sample.x.shape[1:]) == (2, 14, 14)
    assert (len(source.train), len(source.test or []), len(target.train)) == (33, 20, 7)  # of 40: five sixths, and the rest
    digits = (sample.x.flatten(1).amax(1).long() - 5) // 10
    assert torch.equal(sample.y, (digits < 5).long())
    channel, label = colours(source)
    assert torch.equal(channel ^ label, sample.domain)  # in the second environment every colour is the other label's
    assert torch.equal(*colours(target))
    assert data.task.sources == ["0: 0", "1: 1"]


def test_fractions_are_those_that_are_asked_for(root: Path) -> None:
    data = ColoredMNIST(root=str(root))
    source, _ = data.load()
    again, _ = ColoredMNIST(root=str(root), seed=5).load()
    other, _ = ColoredMNIST(root=str(root), draw=1).load()
    assert torch.equal(source.train.labels, again.train.labels)  # the same in every run
    assert not torch.equal(source.train.labels, other.train.labels)


def test_grey_rows_have_no_colour(root: Path) -> None:
    domains = [ColoredMNIST(target=target, root=str(root)).load()[1] for target in ("test", "grey")]
    test, grey = (domain.train[torch.arange(len(domain.train))] for domain in domains)
    assert torch.equal(test.y, grey.y)
    assert torch.equal(grey.x[:, 0], grey.x[:, 1])
    assert torch.equal(grey.x[:, 0], test.x.amax(1))


def test_both_targets_are_measured_each_by_itself(root: Path) -> None:
    data = ColoredMNIST(target=["test", "grey"], root=str(root))
    data.setup("test")
    (place,) = (place for place in data.places if place.role == "target")
    assert place.pooled == ["test", "grey"]
    target = data.load()[1]
    assert target.name == "test+grey"
    assert target.train[torch.arange(len(target.train))].domain.tolist() == [0] * 7 + [1] * 7


def test_rows_are_of_each_environment(root: Path) -> None:
    data = ColoredMNIST(rows=3, root=str(root))
    data.setup("fit")
    assert data.training_rows()["source"].domains.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"environments": [0.1]}, r"--data.environments is \[0.1\]: give the fractions of two training environments or more"),
        ({"environments": [0.1, 1.2]}, r"--data.environments has 1.2: it is a fraction of rows, from 0 to 1"),
        ({"target": ["gray"]}, r"--data.target has 'gray'; did you mean 'grey'\?"),
        ({"label_noise": -1.0}, r"--data.label_noise has -1.0: it is a fraction"),
        ({"rows": 17}, r"--data.rows is 17: each of 2 environments has 1 to 16"),
    ],
)
def test_bad_options_are_a_sentence(root: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        ColoredMNIST(root=str(root), **options).load()  # type: ignore[arg-type]
