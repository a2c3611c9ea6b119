"""Training on the target's labels."""

from typing import ClassVar

from tlda.batch import OracleBatch
from tlda.method import Method


class Oracle(Method):
    r"""The upper bound, not a method: cross-entropy on every label of the target's training part.

    .. math:: -\frac{1}{m} \sum_j \log p_{j, y_j}
    """

    one_domain: ClassVar[bool] = True

    @property
    def batch_type(self) -> type:
        return OracleBatch
