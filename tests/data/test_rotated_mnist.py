"""Rotated MNIST: angles against Pillow's, and which image is in which domain, on tiny files in MNIST's form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers.tiny_files import write_mnist
from tlda.data import RotatedMNIST
from tlda.data.rotated_mnist import ANGLES, rotated
from tlda.errors import UserError


@pytest.mark.parametrize("angle", [0.0, 15.0, 75.0])
def test_images_are_turned_as_pillow_turns_them(angle: float) -> None:
    images = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    images[0, 0, 4:20, 6:12], images[0, 0, 4:8, 6:20] = 200, 255
    wanted = np.array(Image.fromarray(images[0, 0].numpy()).rotate(angle, resample=Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(rotated(images, angle)[0, 0].numpy().astype(int) - wanted).max() <= 1


def test_each_image_is_in_one_domain_and_rows_carry_their_angle(root: Path) -> None:
    data = RotatedMNIST(source=[15, 30, 45, 60, 75], target=0, root=str(root), size=14)
    source, target = data.load()
    assert (len(source.train), len(target.train)) == (50, 10)  # of 60 images, ten each
    assert data.task.sources == ["15", "30", "45", "60", "75"]
    sample = source.train[torch.tensor([0, 10, 49])]
    assert sample.domain.tolist() == [0, 1, 4]
    assert tuple(sample.x.shape) == (3, 1, 14, 14)
    dealt = torch.cat([RotatedMNIST(source=[a for a in ANGLES if a != b], target=b, root=str(root)).load()[1].train.labels for b in ANGLES])
    assert dealt.bincount().tolist() == [6] * 10
    again = RotatedMNIST(target=0, root=str(root), seed=7).load()[1]
    assert torch.equal(again.train.labels, target.train.labels)  # the same in every run


def test_a_part_of_each_domain_is_held_out_and_the_rest_of_the_target_measures(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw", 500, 100)
    data = RotatedMNIST(source=[15, 30], target=0, root=str(tmp_path), holdout=0.2, validate_on="holdout")
    data.setup("fit")
    rows = data.training_rows()["source"]
    assert rows.domains.bincount().tolist() == [80, 80]
    sizes = [sum(len(batch.y) for batch in loader) for loader in data.val_dataloader()]
    tested = [sum(len(batch.y) for batch in loader) for loader in data.test_dataloader()]
    assert (sizes, tested) == ([40, 20, 80], [40, 80])
    assert [place.prefix("val") for place in data.places] == ["val/source", "oracle/target", "oracle/measured"]
    assert [place.prefix("test") for place in data.places[:2]] == ["test/source", "test/target"]
    seen = {int(row) for loader in data.val_dataloader()[1:] for batch in loader for row in batch.row}
    assert len(seen) == 100


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "20"}, r"there is no angle '20' of RotatedMNIST"),
        ({"source": []}, r"--data.source names no angle"),
        ({"source": ["15", "0"]}, "'0' is in --data.source and in --data.target"),
        ({"rows": 11}, r"--data.rows is 11: each angle has 1 to 10"),
    ],
)
def test_bad_options_are_a_sentence(root: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        RotatedMNIST(root=str(root), **options).load()  # type: ignore[arg-type]
