"""CoOp."""

from typing import Any, ClassVar

from tlda.backbones.prompt_head import PromptHead
from tlda.backbones.text_tower import tower_of
from tlda.errors import UserError
from tlda.finetuning import LinearProbe, Tuning
from tlda.method import Method


class CoOp(Method):
    """The words before a class's name are vectors that learn, and both towers stay (CoOp: Zhou et al., IJCV 2022, one context for all).

    The backbone is a :class:`tlda.backbones.CLIP` or :class:`tlda.backbones.Towers`.

    Args:
        words: what the vectors are at first, of which there is one per token; the name and a full stop follow.
        tuning: how far the image tower is fine-tuned beside them; not at all where none is given.
    """

    reads_classes: ClassVar[bool] = True

    def __init__(self, *, words: str = "a photo of a", tuning: Tuning | None = None, **kwargs: Any) -> None:
        super().__init__(tuning=tuning or LinearProbe(), **kwargs)
        if not words.strip():
            raise UserError("--model.words is empty, and CoOp learns a vector per token of it: give some words")
        backbone = self.network.backbone
        self.network.replace_head(PromptHead(tower_of(backbone), backbone.modules(), self.task.classes, [f"{words} {{}}."], words))
