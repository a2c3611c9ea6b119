"""Every validator by name, and all that need no further forward pass from rows that are kept once."""

from __future__ import annotations

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from tlda.batch import Output
from tlda.metrics.validators.base import Validator
from tlda.metrics.validators.certainty import BNM, SND, Entropy, InformationMaximization, OfPredictions
from tlda.metrics.validators.importance import DEV, IWCV, WeightedRisk, errors, weigh
from tlda.metrics.validators.mixing import MixVal

OF_PREDICTIONS: dict[str, type[OfPredictions | InformationMaximization]] = {
    "entropy": Entropy,
    "information_maximization": InformationMaximization,
    "snd": SND,
    "bnm": BNM,
}
OF_RISK: dict[str, type[WeightedRisk]] = {"iwcv": IWCV, "dev": DEV}

VALIDATORS: dict[str, type[Validator]] = {**OF_PREDICTIONS, **OF_RISK, "mixval": MixVal}
"""Each validator by the name of its curve, ``val/target/NAME``: its class says ``higher_is_better``, and ``label`` in print."""


class Validators(Metric):
    """Every one of :data:`VALIDATORS` but MixVal, which asks the network again, from rows that are kept once.

    Update with the output of a batch, and its labels where it is the source's; a row without one, which -1 is, counts for nothing. The
    risk of IWCV and DEV is the error rate.
    ``compute()`` gives a value by name: of the predictions where rows of the target came, of the risk where rows of both did.
    """

    is_differentiable = False
    full_state_update = False
    source: list[Tensor]
    risk: list[Tensor]
    target: list[Tensor]
    logits: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for state in ("source", "risk", "target", "logits"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(self, output: Output, labels: Tensor | None = None) -> None:
        """Keep a batch: of the source where its ``labels`` (n,) are given, else of the target."""
        output = Output(*(values.detach() for values in output))
        if labels is None:
            self.target.append(output.features)
            self.logits.append(output.logits)
        elif len(known := (labels >= 0).nonzero().flatten()):
            self.source.append(output.features[known])
            self.risk.append(errors(output.logits[known], labels[known]))

    def compute(self) -> dict[str, Tensor]:
        """The values by name over all rows kept."""
        if not len(self.logits):
            return {}
        logits = dim_zero_cat(self.logits)
        values = {name: validator.measure(logits) for name, validator in OF_PREDICTIONS.items()}
        if len(self.risk):
            weights, risk = weigh(self.source, self.risk, self.target)
            values |= {name: validator.measure(weights, risk) for name, validator in OF_RISK.items()}
        return values
