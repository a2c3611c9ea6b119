"""Training on the source, without adaptation."""

from typing import ClassVar

from tlda.method import Method


class SourceOnly(Method):
    """The baseline: cross-entropy on the source's labels; the target is not looked at.

    With ``plus``, it becomes the method that those losses make.
    """

    inputs: ClassVar[tuple[str, ...]] = (*Method.inputs, "spans")
