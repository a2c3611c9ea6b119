"""Easy-VQA: questions about one coloured shape, under a shift of look or of composition."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from tlda.data.arrays import Images
from tlda.data.asked.asking import Asked, Asking, read_pictures
from tlda.data.asked.vocabulary import words_of
from tlda.data.cache import stored
from tlda.data.corruptions import cleaned, corrupted
from tlda.errors import UserError, lacking, near

COLOURS = ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow")
SHAPES = ("circle", "rectangle", "triangle")
LOOKS = ("plain", "inverted", "noisy")
NOISE = 0.3
"""The standard deviation of the noise, of pixels in 0..1."""

Parts = dict[str, Asked]


class EasyVQA(Asking):
    """Questions about images of one shape in one colour (Zhou, 2019; the package ``easy-vqa``, 4,000 + 1,000 images of 64 x 64).

    38,575 questions train and 9,673 measure, each with one of 13 answers: yes, no, three shapes and eight colours. The words alone answer
    two thirds of them, so a table needs a ``QuestionNet`` that sees the question alone. A look is ``plain``, ``inverted``, ``noisy``,
    normal noise of standard deviation 0.3, or one of these under a corruption of :mod:`tlda.data.corruptions`, as ``plain+fog5``. Where
    the looks differ, a half of the training images is the source's and the other one the target's; the test images are the same in both.

    Args:
        source: the look of the source.
        target: the look of the target.
        unseen: combinations such as ``red circle`` that only the target has, which then has no others: a shift of composition. Images whose
            combination their own questions do not tell, an eighth of them, are left out.
        **kwargs: see :class:`Asking`.

    Raises:
        UserError: the package is not installed; an unknown look or combination; two domains that are the same.
    """

    def __init__(self, source: str = "plain", target: str = "inverted", unseen: Sequence[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.looks = {name: cleaned(name) for name in (source, target)}
        for look, _ in self.looks.values():
            if look not in LOOKS:
                raise UserError(f"there is no look '{look}' of EasyVQA{near(look, LOOKS)}")
        self.unseen = [tuple(words_of(name)) for name in unseen or ()]
        for given, pair in zip(unseen or (), self.unseen, strict=True):
            if len(pair) != 2 or pair[0] not in COLOURS or pair[1] not in SHAPES:
                raise UserError(f"--data.unseen has '{given}': it is a colour ({', '.join(COLOURS)}) and a shape ({', '.join(SHAPES)})")
        if source == target and not self.unseen:
            raise UserError(f"source and target of EasyVQA are both '{source}': give them two looks, or --data.unseen")
        self.source, self.target = source, f"{target}, unseen" if self.unseen else target

    @property
    def transfer(self) -> str:
        return f"{self.source}_to_{self.target.replace(', ', '_')}"

    def read(self) -> tuple[Parts, Parts]:
        names, (source, target) = package(self.size), self.looks if len(self.looks) > 1 else [*self.looks] * 2
        rows = {part: self._parted(part, asked) for part, asked in names.items()}
        domains = ({part: asked.chosen(rows[part][number]) for part, asked in names.items()} for number in (0, 1))
        seen, other = (
            {part: asked._replace(images=_looking(asked.images, *self.looks[look])) for part, asked in domain.items()}
            for domain, look in zip(domains, (source, target), strict=True)
        )
        return seen, other

    def _parted(self, part: str, asked: Asked) -> tuple[list[int], list[int]]:
        """The numbers of the questions of the source and of the target."""
        if self.unseen:
            told = combinations(asked)
            kinds = [told.get(image) for image in asked.of]
            return [n for n, kind in enumerate(kinds) if kind and kind not in self.unseen], [
                n for n, kind in enumerate(kinds) if kind in self.unseen
            ]
        if part == "test":
            return [*range(len(asked.of))], [*range(len(asked.of))]
        own = set(torch.randperm(len(asked.images), generator=Generator().manual_seed(0))[: len(asked.images) // 2].tolist())
        return [n for n, image in enumerate(asked.of) if image in own], [n for n, image in enumerate(asked.of) if image not in own]


def _looking(images: Tensor, look: str, corruption: str) -> Tensor:
    """The images (k, 3, h, w) in another look, which a corruption then changes."""
    shown = 255 - images if look == "inverted" else images
    if look == "noisy":
        noise = torch.randn(images.shape, generator=Generator().manual_seed(len(images)))
        shown = (images + 255 * NOISE * noise).round_().clamp_(0, 255).to(torch.uint8)
    numbers = torch.arange(len(shown))
    found = corrupted(Images(shown, torch.zeros(len(shown), dtype=torch.long)), corruption)[numbers].x
    assert isinstance(found, Tensor)  # of images
    return found


def combinations(asked: Asked) -> dict[int, tuple[str, str]]:
    """The colour and the shape of each image that its own questions and answers tell, by its number."""
    told: dict[int, set[str]] = defaultdict(set)
    for image, question, answer in zip(asked.of, asked.questions, asked.answers, strict=True):
        words = set(words_of(question))
        holds = (answer == "yes") != bool(words & {"not", "no"}) if answer in ("yes", "no") else True
        told[image] |= ({answer} | words if holds else set()) & {*COLOURS, *SHAPES}
    pairs = {image: ([c for c in COLOURS if c in words], [c for c in SHAPES if c in words]) for image, words in told.items()}
    return {image: (colours[0], shapes[0]) for image, (colours, shapes) in pairs.items() if colours and shapes}


@functools.lru_cache(maxsize=2)
def package(size: int) -> Parts:
    """The questions of the package ``easy-vqa``, ``train`` and ``test``, with images of ``size`` x ``size``.

    Raises:
        UserError: it is not installed.
    """
    try:
        import easy_vqa
    except ImportError as error:
        raise lacking("EasyVQA", "the package easy-vqa", "vqa") from error
    found = {}
    for part in ("train", "test"):
        questions, answers, of = getattr(easy_vqa, f"get_{part}_questions")()
        files = getattr(easy_vqa, f"get_{part}_image_paths")()
        paths = [Path(files[number]) for number in range(len(files))]
        images = stored(f"easy_vqa-1-{part}-{size}", functools.partial(_pictures, paths, size))["images"]
        found[part] = Asked(images, of, questions, answers, [f"{part}/{n}.png: {q}" for n, q in zip(of, questions, strict=True)])
    return found


def _pictures(paths: Sequence[Path], size: int) -> dict[str, Tensor]:
    return {"images": read_pictures(paths, size)}
