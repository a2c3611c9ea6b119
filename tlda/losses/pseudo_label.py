"""Pseudo-labels: a network's own predictions as labels."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import nll_loss

from tlda.batch import Batch, Output
from tlda.errors import UserError
from tlda.losses.base import Loss
from tlda.nn.numerics import log_probabilities


def pseudo_label(logits: Tensor, threshold: float = 0.0, labels_from: Tensor | None = None) -> Tensor:
    r"""The cross-entropy, in nats, of predictions to the likeliest class of their own, or of another view's (Lee, 2013, eq. 15).

    .. math:: -\frac{1}{n} \sum_{i : \max p_i \ge t} \log p_{i, \hat{y}_i}, \quad \hat{y}_i = \arg\max_j p_{ij}

    The mean is over all rows, of which those below the threshold count 0 (Sohn et al., NeurIPS 2020, eq. 4): the term grows
    with the fraction that passes. The labels carry no gradient.

    Args:
        logits: (n, c).
        threshold: the probability of the likeliest class from which a row counts: 0 for every row (Lee), 0.95 in FixMatch.
        labels_from: logits (n, c) that give the labels and their confidence, such as those of weakly augmented images;
            by default ``logits``.

    Raises:
        UserError: the threshold is no probability, or the two logits differ in shape.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
        >>> round(pseudo_label(logits, threshold=0.8).item(), 4)
        0.0635
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"pseudo_label has threshold {threshold}: it is a probability, 0 to 1")
    labels_from = logits if labels_from is None else labels_from
    if labels_from.shape != logits.shape:
        raise UserError(f"pseudo_label takes two views of the same rows, got {tuple(logits.shape)} and {tuple(labels_from.shape)}")
    confidence, labels = log_probabilities(labels_from.detach()).max(1)
    # By what is below, which is never true of NaN: a diverged row stays.
    return nll_loss(log_probabilities(logits), labels, reduction="none").masked_fill(confidence.exp() < threshold, 0.0).mean()


class PseudoLabel(Loss):
    """:func:`pseudo_label` on the target, ramped up over the run (Lee, ICML workshop 2013, eq. 15-16).

    The paper's weight is 0 for 100 epochs and grows to its full value at epoch 600. A run is taken as 1,000 of those, so that
    the ramp goes from a tenth of it to six tenths. The paper's outputs are sigmoid units; here they are a softmax.

    Args:
        trade_off: the weight of the term at full ramp; the paper's alpha_f.
        threshold: the probability from which a row counts; the paper has none.
        start: the fraction of the run at which the ramp leaves 0.
        end: the share of the run at which it is full.
    """

    reads_classes: ClassVar[bool] = True
    trains_on_certainty: ClassVar[bool] = True

    def __init__(self, trade_off: float = 3.0, threshold: float = 0.0, start: float = 0.1, end: float = 0.6) -> None:
        super().__init__(trade_off)
        if not 0 <= start < end:
            raise UserError(f"PseudoLabel has its ramp from {start} to {end}: shares of the run, start before end")
        self.threshold, self.start, self.end = threshold, start, end

    def forward(self, batch: Batch, source: Output, target: Output, progress: float) -> Tensor:
        ramp = min(max((progress - self.start) / (self.end - self.start), 0.0), 1.0)
        return ramp * pseudo_label(target.logits, self.threshold)
