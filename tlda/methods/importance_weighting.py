"""Source rows weighted by the density ratio of the domains."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from tlda.batch import Sample, Takes
from tlda.errors import UserError, warn
from tlda.methods.weighted import Weighted
from tlda.metrics.density_ratio import RATIOS


class ImportanceWeighting(Weighted):
    r"""Training under covariate shift: a source row counts as its input is frequent on the target (Shimodaira, 2000).

    .. math:: \frac{1}{n} \sum_i \frac{P_t(x_i)}{P_s(x_i)} \, L(x_i, y_i)

    The ratio is of the inputs, standardised, before training: numbers of a table, features that were computed before, or the pixels of
    small images. It says nothing where a classifier tells the domains apart row by row: few rows then carry all weight, and a warning
    says so.

    Args:
        estimator: a logistic ``classifier`` of the domains (Bickel et al., JMLR 2009), ``ulsif`` (Kanamori et al., JMLR 2009) or ``kliep``
            (Sugiyama et al., 2008).
        clip: the largest weight, of a mean of 1.
    """

    takes: ClassVar[Takes] = "numbers"
    whole_inputs: ClassVar[str] = "weighs each input"

    def __init__(self, *, estimator: Literal["classifier", "ulsif", "kliep"] = "classifier", clip: float = 10.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if clip < 1:
            raise UserError(f"--model.clip is {clip}: the mean weight is 1, so that the largest is 1 or more")
        self.estimator, self.clip, self.by_row = estimator, clip, torch.empty(0)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        numbers, source = zip(*((rows.row, rows.x.flatten(1).float()) for rows in self.training_batches("source")), strict=True)
        target = torch.cat([rows.x.flatten(1).float() for rows in self.training_batches("target")])
        ratios = RATIOS[self.estimator](torch.cat(source), target)
        ratios = ratios / ratios.mean()
        cut = ratios.clamp_max(self.clip)
        effective = float(cut.sum().square() / cut.square().sum())
        if bool((ratios > self.clip).any()) or effective < len(cut) / 10:
            cutting = f"{int((ratios > self.clip).sum())} of {len(cut)} weights of the source's rows were above {self.clip:g} and were cut"
            warn(f"{cutting}; the weighted rows count as {effective:.0f}: where few rows carry the weight, the domains hardly overlap")
        rows = torch.cat(numbers)
        self.by_row = cut.new_zeros(int(rows.max()) + 1).scatter(0, rows, cut)

    def weights(self, rows: Sample) -> Tensor:
        return self.by_row.to(self.device)[rows.row]
