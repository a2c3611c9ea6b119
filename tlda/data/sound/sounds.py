"""Anyone's sounds, in a folder per domain and class."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tlda.data.layouts import data_root, subfolders
from tlda.data.pair import DomainPair
from tlda.data.pooling import Name, require_apart
from tlda.data.rows import Domain, New, pooled
from tlda.data.sound.clips import UNKNOWN, Clips, new_clips, read_clips, require_length, sound_files
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Task


class Sounds(DomainPair):
    """Sounds in ``root/DOMAIN/CLASS``, such as ``root/studio/dog/1.wav``: wav, flac, ogg and aiff, by ``soundfile`` (``tlda[sound]``).

    A sound becomes one clip: the mean of its channels at ``rate``, cut at ``seconds`` or filled with silence. A method takes the clips,
    waves (n, t), by ``--model.backbone Spectrogram``. A target whose sounds lie directly in ``root/DOMAIN`` has no labels: methods adapt to
    it and predict it.

    Args:
        root: the folder of the domains; where there is none by that name, the one in ``TLDA_DATA``.
        source: the domain with labels, or a list of several, whose sounds are pooled; by default ``source``.
        target: the domain without; by default ``target``.
        rate: the samples per second, which is that of the backbone.
        seconds: the length of a clip.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: a folder that is missing or empty; domains whose classes differ; a sound that is damaged or of no length.
    """

    def __init__(
        self,
        root: str | None = None,
        source: list[Name] | Name | None = None,
        target: Name | None = None,
        rate: int = 16000,
        seconds: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require_length(rate, seconds)
        given = source if isinstance(source, list) else ["source" if source is None else source]
        self.sources, self.target = [str(name) for name in given], "target" if target is None else str(target)
        require_apart(self.sources, [self.target])
        self.source, self.root = "+".join(self.sources), data_root(root)
        self.rate, self.seconds = rate, seconds

    @cached_property
    def found(self) -> dict[str, dict[str, list[Path]]]:
        """The sounds of each domain by class; by none where it has no class folders."""
        return {name: self._by_class(self.root / name) for name in (*self.sources, self.target)}

    def _by_class(self, folder: Path) -> dict[str, list[Path]]:
        if not folder.is_dir():
            raise UserError(f"there is no folder {folder}: set --data.root, --data.source and --data.target to where the sounds are")
        files = {name: found for name in sorted(subfolders(folder)) if (found := sound_files(folder / name))} or {"": sound_files(folder)}
        if not any(files.values()):
            raise UserError(f"there is no sound in {folder}: put wav or flac files in {folder / 'CLASS'}")
        return files

    @cached_property
    def task(self) -> Task:
        """The classification into the class folders, which all domains with labels have alike."""
        first, *others = ([*self.found[name]] for name in self.sources)
        names = [*others, *([[*self.found[self.target]]] if [*self.found[self.target]] != [""] else [])]
        if len(first) < 2:
            raise UserError(f"{self.root / self.sources[0]} has no two class folders with sounds in them: the source needs labels")
        for other in names:
            if odd := sorted({*first} ^ {*other}):
                raise UserError(f"the class folders of the domains differ: not all have '{odd[0]}'; give them the same names")
        task = self.classification(first)
        task.sources = self.sources if len(self.sources) > 1 else ()
        return task

    def load(self) -> tuple[Domain, Domain]:
        """The clips of the sources, pooled, and of the target."""
        *sources, target = (self._domain(name) for name in (*self.sources, self.target))
        return pooled(self.source, sources), target

    def _domain(self, name: str) -> Domain:
        classes = list(self.task.classes)
        found = [(path, classes.index(label) if label else UNKNOWN) for label, paths in self.found[name].items() for path in paths]
        paths, labels = zip(*found, strict=True)
        return Domain(name, Clips(read_clips(paths, self.rate, self.seconds), torch.tensor(labels)), labelled=UNKNOWN not in labels)

    def read_new(self, place: str, fitted: Plain) -> New:
        return new_clips(place, self.rate, self.seconds)

    def describe_row(self, row: int) -> str:
        return str([path for paths in self.found[self.target].values() for path in paths][row])
