"""Questions about emoji, by templates over what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator

from tlda.data.arrays import Images
from tlda.data.asked.asking import Asked, Asking
from tlda.data.emoji import Concept, Emoji
from tlda.data.rows import Domain

KINDS = {
    "animal": ("animal-", "cat-face", "monkey-face"),
    "building": ("place-building", "place-religious"),
    "clock": ("time",),
    "drink": ("drink",),
    "face": ("face-",),
    "food": ("food-",),
    "hand": ("hand",),
    "heart": ("heart",),
    "person": ("person", "family"),
    "plant": ("plant-",),
    "vehicle": ("transport-ground", "transport-air", "transport-water"),
}
"""What an emoji is, and how the subdivisions begin whose emoji are that."""


class EmojiQuestions(Asking):
    """*Is this an animal? What is this?* Three questions about each emoji of one of eleven kinds, in two looks of :class:`Emoji`.

    Concepts are split as there: those that measure are asked about in no training question. The kinds that the wrong questions name are as
    frequent as those of the right ones, so that the words alone answer half of the yes and no.

    Args:
        source: the look of the source.
        target: the look of the target.
        root: see :class:`Emoji`.
        **kwargs: see :class:`Asking`.
    """

    def __init__(self, source: str = "noto", target: str = "twemoji", root: str = "emoji64", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.looks = Emoji(source=source, target=target, root=root, size=self.size)
        self.source, self.target = source, target

    def read(self) -> tuple[dict[str, Asked], dict[str, Asked]]:
        source, target = (self._asked(domain) for domain in self.looks.load())
        return source, target

    def _asked(self, domain: Domain) -> dict[str, Asked]:
        parts = zip(("train", "test"), (domain.train, domain.test), self.looks.concepts, strict=True)
        return {name: asked_about(images, concepts) for name, images, concepts in parts if isinstance(images, Images)}


def kind_of(concept: Concept) -> str | None:
    """What an emoji is, one of :data:`KINDS`; None where it is neither."""
    return next((kind for kind, beginnings in KINDS.items() if concept.sub.startswith(beginnings)), None)


def a(kind: str) -> str:
    """``kind`` with its article."""
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def asked_about(images: Images, concepts: Sequence[Concept]) -> Asked:
    """The questions about ``images``, one per concept, the same in every run: what it is, whether it is that, and whether it is another."""
    own = [(number, kind) for number, concept in enumerate(concepts) if (kind := kind_of(concept))]
    others = [own[place][1] for place in torch.randperm(len(own), generator=Generator().manual_seed(0)).tolist()]
    rows = [
        (number, question, answer)
        for (number, kind), other in zip(own, others, strict=True)
        for question, answer in (("what is this?", kind), (f"is this {a(kind)}?", "yes"), (f"is this {a(other)}?", "no"))
        if answer != "no" or other != kind
    ]
    names = [f"{concepts[number].name}: {question}" for number, question, _ in rows]
    return Asked(images.images, [n for n, _, _ in rows], [q for _, q, _ in rows], [a for _, _, a in rows], names)
