"""MAML whose steps change the head alone."""

from typing import Any

from tlda.methods.few_shot.maml import MAML


class ANIL(MAML):
    """The steps on the examples change the head alone, and the features stay as they were learnt (Raghu et al., ICLR 2020)."""

    inner = "head."

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
