"""The base class of methods that adapt a network of the source to the target without the source."""

from __future__ import annotations

from typing import Any, ClassVar

from tlda.batch import TargetBatch
from tlda.errors import UserError
from tlda.method import Method


class SourceFree(Method):
    """The base of methods that start from a network of the source, ``init_from``, and train on the target alone."""

    setting: ClassVar[str] = "source-free"
    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.origin = self.init_from

    @property
    def batch_type(self) -> type:
        return TargetBatch

    def require_origin(self, begun: bool) -> None:
        """Raise :class:`UserError` where there is no network to start from, and no run that has ``begun`` to go on."""
        if not self.origin and not begun:
            raise UserError(f"{type(self).__name__} starts from a network trained on the source: name its checkpoint by --model.init_from")
