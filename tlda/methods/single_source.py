"""One source domain of several."""

from typing import Any, ClassVar

from torch import Tensor

from tlda.batch import Output, SourceBatch
from tlda.errors import UserError
from tlda.methods.several_sources import SeveralSources


class SingleSource(SeveralSources):
    r"""Training on one of the pooled source domains alone: the best of them, which only target labels tell, is an oracle's row.

    .. math:: -\frac{1}{n_e} \sum_{i \in e} \log p_{i, y_i}

    Args:
        number: which source domain, from 0 in the order of the data.

    Raises:
        UserError: there is no source domain of that number.
    """

    setting: ClassVar[str] = "multi-source"

    def __init__(self, *, number: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= number < len(self.task.sources):
            names = ", ".join(self.task.sources)
            raise UserError(f"--model.number is {number}, and the source domains, from 0 on, are {names}: take one of them")
        self.number = number

    def objective(self, batch: SourceBatch, source: Output, target: Output) -> dict[str, Tensor]:
        own = [part for part in self.parts(batch, source) if part.number == self.number]
        return {"single": self.risks(own).mean(), **self.added(batch, source, target)}
