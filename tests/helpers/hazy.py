"""A target that a network trained on the source mostly gets wrong, and that its own BatchNorm statistics put right."""

from __future__ import annotations

import torch

from tests.helpers.toy import Toy
from tlda.data import Domain, Images


class Hazy(Toy):
    """Blobs seen through a haze: less contrast, and all of it bright."""

    def load(self) -> tuple[Domain, Domain]:
        source, target = super().load()
        return source, Domain("hazy", Images((100 + 0.3 * target.train.images.float()).to(torch.uint8), target.train.labels))  # type: ignore[attr-defined]
