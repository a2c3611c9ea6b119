"""The sections of the report of rows of numbers: what moved between the domains, and which columns the predictions rest on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlda.data.pair import DomainPair
from tlda.documents import svg
from tlda.metrics.label_shift import class_shares, label_shift
from tlda.report import integrated
from tlda.report.page import AFTER, SOURCE, TARGET, Block, Figure, Section
from tlda.report.sections import Side
from tlda.report.sides import legend_of

MOVED = 0.1
"""The total variation of the class shares from which on the classes are said to be more or less frequent."""

APART = 0.6
"""The area under the curve, on rows that it was not fitted to, from which on a classifier is said to tell the domains apart."""

ILL = 100.0
"""The condition of the confusion from which on it says nothing of the class shares."""

SHUFFLES, SHOWN, CURVES, POINTS = 5, 25, 4, 15
"""How often a column is shuffled; the most columns of a figure; the columns whose partial dependence is drawn, and its points."""

Floats = NDArray[np.float64]


class Shift(NamedTuple):
    """What is known of a shift without a label of the target.

    Args:
        source: the class shares of the source, (c,).
        target: those of the target as estimated, (c,).
        condition: that of the confusion they are estimated from.
        apart: the area under the curve of a classifier of the domains on rows that it was not fitted to.
        remaining: the same where the source's rows are weighted to the estimated shares.
    """

    source: Tensor
    target: Tensor
    condition: float
    apart: float
    remaining: float

    @property
    def distance(self) -> float:
        """The total variation of the class shares."""
        return 0.5 * float((self.source - self.target).abs().sum())

    @property
    def kind(self) -> str:
        """``none``, ``label shift``, ``covariate shift`` or ``label and covariate shift``."""
        names = ["label"] * (self.condition <= ILL and self.distance >= MOVED) + ["covariate"] * (self.remaining >= APART)
        return f"{' and '.join(names)} shift" if names else "none"


ADVICE = {
    "none": "There is little to adapt to: source only is hard to beat.",
    "label shift": "Correct the base rate, not the features: MLLS at test, BBSE or RLLS in training. Aligning features forces unlike "
    "shares on each other.",
    "covariate shift": "Weights of the source's rows (ImportanceWeighting) where the domains overlap, or features that are alike in both.",
    "label and covariate shift": "Look at both: MLLS or RLLS for the base rate, weights or alignment for the inputs, each beside source "
    "only. The estimate of the shares rests on classes that look alike, which they may not.",
}
"""What to do about each kind of shift."""


def said(shift: Shift, names: Sequence[str]) -> str:
    """The evidence of a shift, its kind, and what to do."""
    moves = ", ".join(
        f"{name} {100 * a:.0f} → {100 * b:.0f} %" for name, a, b in zip(names, shift.source.tolist(), shift.target.tolist(), strict=True)
    )
    shares = (
        f"The classes are estimated to move as {moves} (a total variation of {100 * shift.distance:.0f} points; {100 * MOVED:.0f} count)."
        if shift.condition <= ILL
        else "Nothing is known of how frequent the classes are: the confusion on the source is nearly singular."
    )
    inputs = (
        f"A logistic classifier tells the domains apart with an area of {shift.apart:.2f} on rows that it has not seen, and of "
        f"{shift.remaining:.2f} where the source is weighted to those shares ({APART} count)."
    )
    return f"Evidence says: {shift.kind}. {shares} {inputs} {ADVICE[shift.kind]}"


def domain_auc(source: Floats, target: Floats, weights: Floats) -> float:
    """The area under the curve of a logistic classifier of the domains, in two-fold cross-validation, the source's rows weighted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    rows, is_target = np.concatenate((source, target)), np.arange(len(source) + len(target)) >= len(source)
    share = weights / weights.sum() * len(target)
    weight = np.concatenate((share, np.ones(len(target))))
    folds = np.random.default_rng(0).permutation(len(rows)) % 2
    scores = np.zeros(len(rows))
    for fold in range(2):
        fitted = LogisticRegression(max_iter=1000).fit(rows[folds != fold], is_target[folds != fold], weight[folds != fold])
        scores[folds == fold] = fitted.decision_function(rows[folds == fold])
    return float(roc_auc_score(is_target, scores, sample_weight=weight))


def shift_of(side: Side, source: Tensor, labels: Tensor, target: Tensor, classes: int) -> Shift:
    """What moved, by the predictions of ``side`` on held-out rows, and the rows (n, d) and (m, d) that it trained on."""
    seen = side.outcome
    estimate = label_shift(seen.source.labels, seen.source.predicted, seen.target.predicted, classes)
    shares = class_shares(labels[labels >= 0], classes)
    ratio = torch.where(shares > 0, estimate.shares / shares.clamp_min(1e-12), 0.0)
    arrays = source.double().numpy(), target.double().numpy()
    weights = ratio[labels.clamp_min(0)].numpy() if estimate.condition <= ILL else np.ones(len(labels))
    return Shift(shares, estimate.shares, estimate.condition, domain_auc(*arrays, np.ones(len(labels))), domain_auc(*arrays, weights))


def groups(names: Sequence[str]) -> dict[str, list[int]]:
    """The places of the numbers of each column of a table: those of one category stand together, with its missing mark."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name.partition("=")[0].removesuffix(" is missing"), []).append(place)
    return found


def importance(answer: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor, columns: dict[str, list[int]]) -> dict[str, float]:
    """By column: the points of accuracy that are lost where it is shuffled (Breiman, 2001), the mean of :data:`SHUFFLES`."""
    generator = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(x), generator=generator) for _ in range(SHUFFLES)]
    right = float((answer(x).argmax(1) == labels).double().mean())

    def without(places: list[int], order: Tensor) -> float:
        shuffled = x.clone()
        shuffled[:, places] = x[order][:, places]
        return float((answer(shuffled).argmax(1) == labels).double().mean())

    return {name: 100 * (right - sum(without(places, order) for order in orders) / SHUFFLES) for name, places in columns.items()}


def dependence(answer: Callable[[Tensor], Tensor], x: Tensor, place: int) -> list[tuple[float, float]]:
    """The mean probability of the last class in percent by the value of one number, all others as they are (Friedman, 2001, sec. 8.2)."""
    points = sorted({*x[:, place].double().quantile(torch.linspace(0.02, 0.98, POINTS, dtype=torch.double)).tolist()})
    found = []
    for value in points:
        fixed = x.clone()
        fixed[:, place] = value
        found.append((value, 100 * float(answer(fixed).softmax(1)[:, -1].mean())))
    return found


def column_sections(sides: Sequence[Side], data: DomainPair) -> list[Section]:
    """What moved, and what the predictions rest on, of rows of named numbers; no section of other data."""
    encoded: Any = getattr(data, "encoded", None)
    if encoded is None:
        return []
    columns = groups(encoded.names)
    trained = [rows[torch.arange(len(rows))] for rows in (data.training_rows()["source"], data.training_rows()["target"])]
    shift = shift_of(sides[0], trained[0].x, trained[0].y, trained[1].x, len(data.task.classes))
    return [
        Section("What moved", [said(shift, data.task.classes), _moved(columns, trained[0].x, trained[1].x)]),
        Section("Reasons", _reasons(sides, data, columns, encoded.names)),
    ]


def _moved(columns: dict[str, list[int]], source: Tensor, target: Tensor) -> Figure:
    from sklearn.metrics import roc_auc_score

    is_target = np.arange(len(source) + len(target)) >= len(source)
    rows = torch.cat((source, target)).numpy()

    def area(places: list[int]) -> float:
        each = [float(roc_auc_score(is_target, rows[:, place])) for place in places]
        return 100 * max(max(value, 1 - value) for value in each)

    areas = {name: area(places) for name, places in columns.items()}
    shown = sorted(areas, key=lambda name: -areas[name])[:SHOWN]
    dots = svg.rows_of_dots(shown, [[areas[name] for name in shown]], [AFTER], ["domains told apart"])
    return Figure([dots], AREAS, (), "plots wide")


AREAS = (
    "How well one column alone tells the domains apart: the area under the curve in percent, 50 by chance; of a category that of its most "
    "telling value."
)


def _reasons(sides: Sequence[Side], data: DomainPair, columns: dict[str, list[int]], names: Sequence[str]) -> list[Block]:
    order = [torch.cat([*loader.sampler]) for loader in data.val_dataloader()]
    source, target = (rows[own] for rows, own in zip(data.evaluation_rows, order, strict=True))
    answer = _answer(sides[-1])
    found = [importance(answer, source.x, source.y, columns)]
    legend = [(SOURCE, "source")]
    if sides[-1].outcome.target.labelled:
        found.append(importance(answer, target.x, target.y, columns))
        legend.append((TARGET, "target (oracle)"))
    shown = sorted(columns, key=lambda name: -max(values[name] for values in found))[:SHOWN]
    dots = svg.rows_of_dots(shown, [[max(0.0, values[name]) for name in shown] for values in found], *zip(*legend, strict=True))
    numbers = [name for name in shown if name in names][:CURVES]
    plots = [
        svg.curves(name, [svg.Series(s.label, s.colour, dependence(_answer(s), target.x, names.index(name))) for s in sides], "value")
        for name in numbers
    ]
    figures: list[Block] = [Figure([dots], IMPORTANCE, legend, "plots wide")]
    if plots:
        figures.append(Figure(plots, DEPENDENCE.format(data.task.classes[-1]), legend_of(sides)))
    return [*figures, _integrated(sides, target.x, columns, data.task.classes)]


def _integrated(sides: Sequence[Side], x: Tensor, columns: dict[str, list[int]], classes: Sequence[str]) -> Block:
    """What each column adds to the logit of the last class on the target, by each side, or how to see it."""
    if not integrated.is_there():
        return integrated.MISSING
    found = [integrated.integrated(side.run.method, x, len(classes) - 1) for side in sides]
    parts = [{name: float(values[:, places].sum(1).abs().mean()) for name, places in columns.items()} for values in found]
    sums = [{name: 100 * value / (sum(part.values()) or 1.0) for name, value in part.items()} for part in parts]
    shown = sorted(columns, key=lambda name: -max(values[name] for values in sums))[:SHOWN]
    legend = legend_of(sides)
    dots = svg.rows_of_dots(shown, [[values[name] for name in shown] for values in sums], *zip(*legend, strict=True))
    return Figure([dots], INTEGRATED.format(classes[-1]), legend, "plots wide")


def _answer(side: Side) -> Callable[[Tensor], Tensor]:
    def answer(x: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = side.run.method(x).logits.float()
            return logits

    side.run.method.eval()
    return answer


IMPORTANCE = (
    "What the predictions rest on: the points of accuracy that are lost where a column is shuffled among the rows. One that "
    "matters on the source and not on the target has lost its meaning there."
)
DEPENDENCE = (
    "The mean probability of {} on the target, in percent, by the value of one column (standardised where the data are), all others "
    "as they are: partial dependence."
)
INTEGRATED = (
    "What moves the logit of {} from that of the mean of the source to that of a row of the target: each column's share in percent of the "
    "absolute integrated gradients, by captum."
)
