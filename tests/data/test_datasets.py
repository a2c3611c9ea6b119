from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from tlda.data import Datasets
from tlda.data.datasets import to_tensor
from tlda.errors import UserError


class Made(Dataset[Any]):
    """``count`` items; item i is ``make(i)`` with the label i % 3, unless told."""

    def __init__(self, make: Callable[[int], Any], count: int = 6, label: Callable[[int], Any] = lambda i: i % 3) -> None:
        self.make, self.count, self.label = make, count, label

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> Any:
        return self.make(row), self.label(row)


def byte_image(row: int) -> torch.Tensor:
    return torch.full((3, 5, 4), row, dtype=torch.uint8)


@pytest.mark.parametrize(
    "make",
    [
        byte_image,
        lambda row: np.full((5, 4, 3), row, np.uint8),
        lambda row: Image.new("RGB", (4, 5), (row, row, row)),
        lambda row: Image.new("CMYK", (4, 5), (255 - row, 255 - row, 255 - row, 0)),
    ],
)
def test_tensors_arrays_and_pictures_are_read(make: Callable[[int], Any]) -> None:
    data = Datasets(Made(byte_image), Made(make), seed=0)
    data.setup("fit")
    sample = data.loaded[1].train[torch.tensor([5, 1])]
    assert torch.equal(sample.x, torch.stack([byte_image(5), byte_image(1)]))
    assert (sample.y.tolist(), sample.row.tolist()) == ([2, 1], [5, 1])
    assert list(data.task.classes) == ["0", "1", "2"]
    assert (data.transfer, data.describe_row(4)) == ("source_to_target", "4")


def test_grey_images_and_floats_have_a_channel() -> None:
    assert to_tensor(torch.rand(5, 4)).shape == (1, 5, 4)
    assert to_tensor(np.zeros((5, 4))).dtype == torch.float32
    assert to_tensor(Image.new("L", (4, 5), 9)).unique().tolist() == [9]
    assert to_tensor(Image.new("1", (4, 5), 1)).unique().tolist() == [255]
    assert to_tensor(Image.new("L", (4, 5))).shape == (1, 5, 4)


def test_test_rows_are_used_and_names_given() -> None:
    data = Datasets(Made(byte_image), Made(byte_image), Made(byte_image, 4), Made(byte_image, 5), class_names=["a", "b", "c"])
    data.setup("fit")
    assert [len(rows) for rows in data.evaluation_rows] == [4, 5]
    assert list(data.task.classes) == ["a", "b", "c"]


def test_names_and_labels_are_taken_from_the_data_set() -> None:
    class Listed(Made):
        classes = ("ant", "bee", "cat")
        targets = (0, 1, 2, 0, 1, 2)

    def refuse(row: int) -> Any:
        raise AssertionError("no item is needed for the labels")

    data = Datasets(Listed(byte_image), Listed(byte_image), seed=0)
    assert list(data.task.classes) == ["ant", "bee", "cat"]
    data.items["source"].data.make = refuse  # type: ignore[attr-defined]
    assert data.items["source"].labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert Datasets(Subset(Listed(byte_image), [2, 1]), Listed(byte_image)).items["source"].labels.tolist() == [2, 1]


def test_labels_that_are_changed_on_reading_are_read() -> None:
    class Changed(Made):
        targets = (7, 7, 7, 7, 7, 7)
        target_transform = staticmethod(lambda label: label)

    assert Datasets(Changed(byte_image), Made(byte_image)).items["source"].labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_whole_batch_through_the_loader() -> None:
    images, labels = torch.rand(12, 1, 4, 4), torch.arange(12) % 2
    data = Datasets(TensorDataset(images, labels), TensorDataset(images, labels), batch_size=4, steps=2, shots=1, seed=0)
    data.setup("fit")
    batches = [batch for batch, _, _ in data.train_dataloader()]
    assert torch.equal(batches[0].target.x, images[batches[0].target.row])
    assert data.training_rows()["labelled"].labels.tolist() == [0, 1]
    assert data.fingerprint() == data.fingerprint()


def wrong(make: Callable[[int], Any] = byte_image, **kwargs: Any) -> Datasets:
    data = Datasets(Made(byte_image), Made(make, **kwargs), class_names=["a", "b", "c"], seed=0)
    data.setup("fit")
    return data


def test_images_of_other_shapes_are_named() -> None:
    data = wrong(lambda row: byte_image(row) if row < 4 else torch.zeros(3, 6, 4, dtype=torch.uint8))
    with pytest.raises(UserError, match=r"row 4 of the target data set is \(3, 6, 4\).*row 0 is \(3, 5, 4\)"):
        data.loaded[1].train[torch.arange(6)]
    with pytest.raises(UserError, match=r"images of the target data set are \(1, 5, 4\), and those of the source \(3, 5, 4\)"):
        wrong(lambda row: byte_image(row)[:1])
    mixed = wrong(lambda row: byte_image(row) if row else byte_image(row).float())
    with pytest.raises(UserError, match=r"row 1 of the target data set is .* of torch.uint8, and its row 0 .*float32"):
        mixed.loaded[1].train[torch.arange(2)]


def test_what_is_no_image_is_named() -> None:
    for make, what in ((lambda row: "cat.jpg", "a str is no image"), (lambda row: torch.zeros(3, 5, 4).long(), "int64 is no image")):
        with pytest.raises(UserError, match=rf"row 0 of the target data set: .*{what}"):
            wrong(make)


def test_labels_out_of_range_are_named() -> None:
    with pytest.raises(UserError, match=r"row 3 of the target data set has the label 3, and there are classes 0 to 2; None or -1 is no"):
        wrong(label=lambda row: row)


NO_CLASS = "and a class is a whole number from 0 on; None or -1 is no label"


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (2.7, rf"its label is 2.7, {NO_CLASS}"),
        (float("nan"), rf"its label is nan, {NO_CLASS}"),
        (float("inf"), rf"its label is inf, {NO_CLASS}"),
        (-3, rf"its label is -3, {NO_CLASS}"),
        ("dog", rf"its label is 'dog', {NO_CLASS}"),
        (torch.tensor([0.0, 1.0, 0.0]), r"its label is \(3,\), and a class is one number: .* argmax"),
        (np.eye(3)[1], r"its label is \(3,\)"),
        ({"class": 1}, rf"its label is {{'class': 1}}, {NO_CLASS}"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_labels_that_are_no_class_are_refused(label: Any, expected: str, listed: bool) -> None:
    target = Made(byte_image, label=lambda row: label if row == 4 else 1)
    if listed:
        target.targets = [target.label(row) for row in range(6)]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=rf"row 4 of the target data set: {expected}"):
        Datasets(Made(byte_image), target, seed=0).setup("fit")


@pytest.mark.parametrize("label", [2, 2.0, np.int64(2), np.float32(2), torch.tensor(2), torch.tensor([2]), np.array(2.0), True])
def test_labels_of_every_type_are_whole_numbers(label: Any) -> None:
    data = Datasets(Made(byte_image), Made(byte_image, label=lambda row: label), seed=0)
    assert data.loaded[1].train.labels.tolist() == [int(label)] * 6


class Bare(Made):
    """Images alone."""

    def __getitem__(self, row: int) -> Any:
        return self.make(row)


@pytest.mark.parametrize(
    "target",
    [
        Made(byte_image, label=lambda row: -1),
        Made(byte_image, label=lambda row: None),
        Bare(byte_image),
        TensorDataset(torch.stack([byte_image(row) for row in range(6)])),
    ],
)
def test_a_target_without_labels_is_adapted_to_and_predicted_and_not_measured(target: Any) -> None:
    data = Datasets(Made(byte_image), target, batch_size=2, seed=0)
    data.setup("fit")
    assert data.loaded[1].train.labels.tolist() == [-1] * 6
    assert (data.loaded[1].labelled, data.measures_target, len(data.test_dataloader())) == (False, False, 1)
    assert next(iter(data.train_dataloader()))[0].target.x.shape == (2, 3, 5, 4)
    assert next(iter(data.predict_dataloader())).x.shape == (6, 3, 5, 4)


def test_the_labels_that_a_target_has_measure_it() -> None:
    data = Datasets(Made(byte_image), Made(byte_image, label=lambda row: row if row < 2 else None), seed=0)
    data.setup("fit")
    assert (data.loaded[1].train.labels.tolist(), data.loaded[1].labelled, data.measures_target) == ([0, 1, -1, -1, -1, -1], False, True)
    apart = Datasets(Made(byte_image), Bare(byte_image), target_test=Made(byte_image, 4), seed=0)
    apart.setup("fit")
    assert (apart.loaded[1].labelled, apart.measures_target) == (False, True)


def test_a_source_without_labels_is_refused() -> None:
    half = Made(byte_image, label=lambda row: None if row == 2 else row % 2)
    for pair in ((half, Bare(byte_image)), (Made(byte_image), Bare(byte_image), half)):
        name = ("source", "source_test")[len(pair) - 2]
        with pytest.raises(UserError, match=rf"row 2 of the {name} data set has no label, and the source needs them"):
            Datasets(*pair, seed=0).setup("fit")


def test_a_row_of_three_parts_is_refused() -> None:
    with pytest.raises(UserError, match=r"row 0 of the source data set has 3 parts; it must be \(image, label\), or an image alone"):
        Datasets(TensorDataset(*[torch.zeros(6, 1, 2, 2)] * 3), Made(byte_image)).setup("fit")


def test_targets_are_one_a_row() -> None:
    short = Made(byte_image)
    short.targets = [0, 1]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"the source data set has 6 rows, and 2 targets"):
        Datasets(short, Made(byte_image)).setup("fit")


def test_classes_that_two_data_sets_count_otherwise_are_refused() -> None:
    source, target = Made(byte_image), Made(byte_image)
    source.classes, target.classes = ["cat", "dog", "emu"], ["ape", "cat", "dog"]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"the classes of the target data set are ape, cat, dog, and those of the source cat, dog, emu"):
        Datasets(source, target)
    assert Datasets(source, target, class_names=["a", "b", "c"]).task.classes == ["a", "b", "c"]


def test_pictures_are_turned_and_floats_must_be_finite() -> None:
    picture = Image.new("L", (4, 5))
    picture.paste(255, (0, 0, 4, 2))
    picture.getexif()[0x0112] = 6
    assert to_tensor(picture).shape == (1, 4, 5)
    assert to_tensor(picture)[0, 0].tolist() == [0, 0, 0, 255, 255]
    with pytest.raises(UserError, match="row 2 of the target data set: its image has numbers that are not finite"):
        wrong(lambda row: byte_image(row) / (row - 2)).loaded[1].train[torch.arange(6)]
    with pytest.warns(UserWarning, match="the images of the source data set are floats up to 200, which are taken as they are"):
        Datasets(*[Made(lambda row: torch.full((1, 4, 4), 200.0))] * 2, seed=0).setup("fit")  # type: ignore[arg-type]


def test_empty_and_iterable_data_sets_are_refused() -> None:
    with pytest.raises(UserError, match=r"the target data set is empty"):
        Datasets(Made(byte_image), Made(byte_image, 0))

    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(())

    with pytest.raises(UserError, match=r"the source data set has no length"):
        Datasets(Stream(), Made(byte_image))
