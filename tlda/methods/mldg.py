"""Meta-learning for domain generalisation."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import functional_call

from tlda.batch import Output, SourceBatch
from tlda.methods.several_sources import SeveralSources


class MLDG(SeveralSources):
    r"""Meta-learning: a step on some source domains must help on the one that was left out of it (Li et al., AAAI 2018, alg. 1).

    .. math:: R_{\mathrm{train}}(\theta) + \beta \, R_{\mathrm{held}}\left(\theta - \alpha \nabla R_{\mathrm{train}}(\theta)\right)

    The gradient of the second term goes through that step, as in the paper.

    Args:
        trade_off: the weight of the risk on the domain that was left out, after the step.
        step: the length of the inner step of gradient descent.
    """

    setting: ClassVar[str] = "generalisation"

    def __init__(self, *, trade_off: float = 1.0, step: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.trade_off, self.inner = trade_off, step

    def objective(self, batch: SourceBatch, source: Output, target: Output) -> dict[str, Tensor]:
        parts = self.parts(batch, source)
        risks = self.risks(parts)
        if len(parts) < 2:
            return {"task": risks.mean(), **self.added(batch, source, target)}
        left = int(torch.randint(len(parts), ()))
        risk = torch.cat((risks[:left], risks[left + 1 :])).mean()
        outer = self.after_step(risk, batch.source.x[parts[left].rows], parts[left].labels)
        return {"task": risk, "meta": self.trade_off * outer, **self.added(batch, source, target)}

    def after_step(self, risk: Tensor, x: Tensor, labels: Tensor) -> Tensor:
        """The risk on inputs ``x`` of the network after a step of gradient descent on ``risk``."""
        weights = {name: value for name, value in self.network.named_parameters() if value.requires_grad}
        gradients = torch.autograd.grad(risk, list(weights.values()), create_graph=True)
        moved = {name: value - self.inner * g for (name, value), g in zip(weights.items(), gradients, strict=True)}
        output: Output = functional_call(self.network, moved, (x,))
        return self.task_loss(output.logits, labels)
