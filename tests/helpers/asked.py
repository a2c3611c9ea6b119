"""Questions about tiny images that no package is needed for."""

from __future__ import annotations

from typing import Any

import torch

from tlda.backbones import QuestionNet
from tlda.data.asked import Asked, Asking

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def asked(images: int, dark: bool = False) -> Asked:
    """Images of 8 x 8 with a spot in one of three colours, and four questions each, two of which the words answer by chance alone."""
    grounds = torch.full((images, 3, 8, 8), 40 if dark else 220, dtype=torch.uint8)
    of, questions, answers = [], [], []
    for number in range(images):
        own, other = list(COLOURS)[number % 3], list(COLOURS)[(number + 1 + number // 3 % 2) % 3]
        left = number % 4
        grounds[number, :, 2:6, left : left + 4] = torch.tensor(COLOURS[own], dtype=torch.uint8)[:, None, None]
        for question, answer in ((f"is it {own}?", "yes"), (f"is it {other}?", "no"), ("what colour?", own), (f"is it not {own}?", "no")):
            of.append(number)
            questions.append(question)
            answers.append(answer)
    return Asked(grounds, of, questions, answers, [f"{n}: {q}" for n, q in zip(of, questions, strict=True)])


class ToyAsking(Asking):
    """Questions about spots on a light ground, and on a dark one."""

    source, target = "light", "dark"

    def __init__(self, images: int = 48, batch_size: int = 16, steps: int | None = 2, **kwargs: Any) -> None:
        super().__init__(size=8, batch_size=batch_size, steps=steps, **kwargs)
        self.images = images

    def read(self) -> tuple[dict[str, Asked], dict[str, Asked]]:
        light, dark = ({"train": asked(self.images, part), "test": asked(12, part)} for part in (False, True))
        return light, dark


def tiny_net(**options: Any) -> QuestionNet:
    """A tiny network for the words of the toy: it, is, not, what, colour, and three colours."""
    return QuestionNet(**{"words": 8, "widths": [8], "width": 8, **options})
