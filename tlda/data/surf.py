"""Office-Caltech10 as its SURF features, which the field measured on before deep networks."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from tlda.data.arrays import Images, class_numbers, digest
from tlda.data.files import column, matlab, reading
from tlda.data.holding import shots
from tlda.data.objects import OFFICE_CALTECH_10, OfficeCaltech10
from tlda.data.pair import DomainPair
from tlda.data.rows import Domain
from tlda.errors import UserError
from tlda.tasks import Task

PLACES = ("features/surf/{}.mat", "surf/{}.mat", "{}.mat", "{}_SURF_L10.mat")
"""The file of each domain within the folder of the data set."""

CLASSES = list(OFFICE_CALTECH_10["amazon"])
"""The classes, in the order of the labels."""


class OfficeCaltech10SURF(DomainPair):
    """Office-Caltech10 as histograms of 800 visual words, (n, 800) (Gong et al., CVPR 2012).

    The rows are as that paper has them: each sums to 1, then each column of a domain has mean 0 and variance 1. A method takes them
    by ``--model.backbone Precomputed --model.backbone.num_features 800``.

    Args:
        source: ``amazon``, ``caltech10``, ``dslr`` or ``webcam``.
        target: another of them.
        draw: the source's rows that take part: ``all``, as most published tables have it, or ``gfk``, 20 a class (8 of ``dslr``) drawn
            by the seed, as the paper has it.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an unknown domain; a file that is missing or damaged.
    """

    def __init__(self, source: str, target: str, draw: Literal["all", "gfk"] = "all", root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        layout = OfficeCaltech10.layout
        self.source, self.target, self.draw = layout.require(source), layout.require(target), draw
        self.root = layout.home(root)

    @property
    def task(self) -> Task:
        return self.classification(CLASSES)

    @cached_property
    def whole(self) -> list[Images]:
        """All rows of the source and of the target."""
        return [self._read(name) for name in (self.source, self.target)]

    def fingerprint(self) -> str:
        # Not of the drawn rows: which they are depends on the seed.
        parts = (self.draw, *(rows.digest for rows in self.whole))
        return super().fingerprint() if self.draw == "all" else digest(part.encode() for part in parts)

    def load(self) -> tuple[Domain, Domain]:
        source, target = self.whole
        if self.draw == "gfk":
            rows = shots(len(source), source.labels, 8 if self.source == "dslr" else 20, len(CLASSES), self.seed)
            source = Images(source.images[rows], source.labels[rows])
        return Domain(self.source, source), Domain(self.target, target)

    def _read(self, domain: str) -> Images:
        names = OfficeCaltech10.layout.names(domain)
        paths = [self.root / place.format(name) for place in PLACES for name in (*names, *(n.capitalize() for n in names))]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise UserError(f"{self.root} has no SURF features of '{domain}': put them at {paths[0]}, or give another --data.root")
        with reading(path):
            data = matlab(path, "fts", "labels")
            counts = torch.from_numpy(np.asarray(data["fts"], dtype=np.float64))
            _require_histograms(counts)
            labels = class_numbers(torch.from_numpy(column(data["labels"]).astype(np.float64)) - 1, len(counts), len(CLASSES))
            # Rows of features live in memory as images do.
            return Images(standardised(counts / counts.sum(1, keepdim=True)).float(), labels)


def _require_histograms(counts: Tensor) -> None:
    """Raise a ValueError where ``counts`` are not rows of counts, (n, d), each of which has some."""
    if counts.ndim != 2 or not counts.numel():
        raise ValueError(f"fts is {tuple(counts.shape)}, and not some rows of features")
    # A comparison with NaN is false.
    if not bool(((counts >= 0) & counts.isfinite()).all()):
        raise ValueError("fts is not of numbers from 0 on")
    if empty := (counts.sum(1) == 0).nonzero().flatten().tolist():
        raise ValueError(f"row {empty[0]} of fts is empty")


def standardised(features: Tensor) -> Tensor:
    """Rows (n, d) of which each column has mean 0 and variance 1; a column that is constant is 0."""
    centred = features - features.mean(0)
    spread = features.std(0)
    return centred / torch.where(spread > 0, spread, torch.ones_like(spread))
