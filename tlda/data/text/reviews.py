"""Reviews of products and films, with a sentiment each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tlda.data.pooling import Name, require_apart
from tlda.data.text.base import Labelled, data_path
from tlda.data.text.reading import Record, reviews
from tlda.errors import UserError, near

ENDING = ".task.train"


class Reviews(Labelled):
    """Reviews in the layout of FDU-MTL (Liu et al., ACL 2017): ``fdu_mtl/DOMAIN.task.train``, ``.test`` and ``.unlabel``.

    The target's training rows are those of ``.train`` and of ``.unlabel``, without labels; its test rows measure. Bytes that are not
    UTF-8, of which the distributor's files have a few, are read as �, and counted.

    Args:
        source: the domain with labels, such as ``books``; several with ``+`` between them are one.
        target: the domain without.
        root: the folder of the files; by default ``fdu_mtl`` in ``TLDA_DATA``.
        unlabelled: whether the target's ``.unlabel`` rows are trained on too.
        **kwargs: see :class:`TextPair`.

    Raises:
        UserError: an unknown domain, with the near name; the target among several sources; a line without a label; an empty text.
    """

    def __init__(
        self, source: Name = "books", target: Name = "dvd", root: str | None = None, unlabelled: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.source, self.target, self.root, self.unlabelled = str(source), str(target), root, unlabelled
        require_apart(self.source.split("+"), self.target.split("+"))

    def read(self) -> tuple[dict[str, list[Record]], dict[str, list[Record]]]:
        source, target = ({part: self._records(d, part) for part in ("train", "test")} for d in (self.source, self.target))
        return source, target | ({"unlabelled": self._records(self.target, "unlabel")} if self.unlabelled else {})

    def new_records(self, path: Path) -> Iterable[Record]:
        return reviews(path, labelled=False)

    def describe_row(self, row: int) -> str:
        return self.records[1]["test"][row].key

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return Path(self.root) if self.root else data_path(None, "fdu_mtl")

    def _records(self, names: str, part: str) -> list[Record]:
        known = {path.name.removesuffix(ENDING) for path in self.folder.glob(f"[!.]*{ENDING}")}
        if not known:
            raise UserError(f"{self.folder} has no files DOMAIN{ENDING}: set --data.root or TLDA_DATA to where the reviews are")
        found: list[Record] = []
        for name in names.split("+"):
            if name not in known:
                raise UserError(f"there are no reviews of '{name}' in {self.folder}{near(name, known)}")
            found += reviews(self.folder / f"{name}.task.{part}", labelled=part != "unlabel")
        return found
