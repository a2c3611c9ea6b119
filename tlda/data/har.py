"""Human activity by the sensors of a smartphone: series of people, each of whom is a domain."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tlda.data.arrays import class_numbers
from tlda.data.pair import DomainPair
from tlda.data.pooling import Name, require_apart
from tlda.data.rows import Domain, pooled
from tlda.data.tabular import TableRows
from tlda.errors import UserError, near
from tlda.tasks import Classification

ACTIVITIES = ("walk", "upstairs", "downstairs", "sit", "stand", "lie")
"""The classes, in the order of the labels."""


class HAR(DomainPair):
    """Smartphone activity (UCI HAR, Anguita et al., 2013): 9 channels of 128 samples at 50 Hz, six activities, one domain per person.

    The split is AdaTime's (Ragab et al., TKDD 2023), 70 % of each person's windows to train on and 30 % that measure, from
    ``har/subject_NAME.npz`` with ``train_x`` (n, 9, 128), ``train_y``, ``test_x`` and ``test_y``. So is the normalisation: each channel of
    each part has mean 0 and standard deviation 1 by the numbers of that part, whose labels it does not look at. A method takes the series
    by ``--model.backbone SeriesCNN``. Beside accuracy and macro-F1 it measures the risk, and that of five rows of each class.

    Args:
        source: the person with labels, such as 2, or several, which are pooled.
        target: the person without.
        root: the folder of the data; by default that of ``TLDA_DATA``, else ``data``.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: an unknown person; a file that is damaged.
    """

    def __init__(self, source: Name | list[Name], target: Name, root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sources = [str(name) for name in (source if isinstance(source, list) else [source])]
        if not self.sources:
            raise UserError("--data.source names nobody: name one person or more, as in [2]")
        self.source, self.target = "+".join(self.sources), str(target)
        require_apart(self.sources, [self.target])
        self.root = Path(root or os.environ.get("TLDA_DATA") or "data")

    @property
    def task(self) -> Classification:
        task = self.classification(ACTIVITIES, [] if self.target_private else ["macro_f1", "risk", "few_shot_risk"])
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def load(self) -> tuple[Domain, Domain]:
        *sources, target = (Domain(name, *read_person(self.root / "har", name)) for name in (*self.sources, self.target))
        return pooled(self.source, sources), target


def read_person(folder: Path, name: str) -> tuple[TableRows, TableRows]:
    """The rows to train on and those that measure of the person ``name``, each part normalised by its own numbers.

    Raises:
        UserError: there is no such person in ``folder``, or the file is damaged.
    """
    path = folder / f"subject_{name}.npz"
    if not path.is_file():
        raise UserError(_missing(folder, name))
    try:
        with np.load(path) as file:
            train, test = (part(file[f"{split}_x"], file[f"{split}_y"]) for split in ("train", "test"))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}): it needs train_x, train_y, test_x and test_y; get it again") from error
    return train, test


def part(series: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> TableRows:
    """Series (n, c, t), each channel standardised over all of them, and their classes (n,).

    Raises:
        ValueError: the arrays are not series and classes, or have numbers that are not finite.
    """
    x = torch.from_numpy(series.astype(np.float32))
    if x.ndim != 3 or not len(x) or not x.isfinite().all():
        raise ValueError(f"its series are {tuple(x.shape)}, and not finite numbers (rows, channels, samples)")
    std, mean = torch.std_mean(x, (0, 2), keepdim=True)
    return TableRows((x - mean) / std.clamp_min(1e-8), class_numbers(torch.from_numpy(labels), len(x), len(ACTIVITIES)))


def _missing(folder: Path, name: str) -> str:
    """What to say of a person who is not in ``folder``."""
    there = [path.stem.removeprefix("subject_") for path in folder.glob("subject_*.npz")]
    if not there:
        return f"there are no people in {folder}, one in each subject_NAME.npz: get UCI HAR by AdaTime's split, or give --data.root"
    return f"there is nobody '{name}' in {folder}{near(name, there)}"
