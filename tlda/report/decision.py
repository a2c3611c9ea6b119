"""Answer "should I adapt?" from the evidence of a run or of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

LEAST_MOVE = 0.01
"""The fraction of its range by which a measure must change to count. Smaller changes come from another seed, too."""

SOURCE_DROP = 0.05
"""The decrease of the source accuracy (a fraction) from which on adaptation has damaged the task."""

COLLAPSE = 0.1
"""A class has vanished where its fraction of the predictions falls below this fraction of its former value."""

SIGNIFICANT = 0.05
"""The p-value below which a difference counts."""

Answer = Literal["yes", "no", "cannot tell"]


class Move(NamedTuple):
    """A label-free measure of the target before and after, the width of its range, and whether it is independent of the training."""

    label: str
    before: float
    after: float
    higher_is_better: bool
    span: float
    counts: bool = True

    @property
    def direction(self) -> int:
        """1 for better, -1 for worse, 0 where it moved by less than a hundredth of its range."""
        gain = (self.after - self.before) * (1 if self.higher_is_better else -1)
        return 0 if abs(gain) < LEAST_MOVE * self.span or gain != gain else 1 if gain > 0 else -1


class Oracle(NamedTuple):
    """The evidence of target labels: the rows, those right before and after, and those that became right or wrong."""

    rows: int
    before: int
    after: int
    mended: int
    broken: int

    @property
    def p(self) -> float:
        """The p-value of McNemar's exact test: among the rows that changed, are as many right before as after?"""
        from scipy.stats import binomtest

        changed = self.mended + self.broken
        return float(binomtest(self.mended, changed).pvalue) if changed else 1.0

    @property
    def effect(self) -> int:
        """1 where it helps, -1 where it harms, 0 where the difference is not significant."""
        return 0 if self.p >= SIGNIFICANT else 1 if self.mended > self.broken else -1


class Evidence(NamedTuple):
    """The evidence for a run against the run before it: fractions of the predictions by class, and accuracies in 0..1."""

    source: tuple[float, float]
    moves: tuple[Move, ...]
    changed: float
    shares: tuple[Sequence[float], Sequence[float]]
    class_names: Sequence[str]
    oracle: Oracle | None = None


class Verdict(NamedTuple):
    """An answer, the sentence with its reasons, warnings, and the result of target labels, where there are some."""

    answer: Answer
    because: str
    alarms: tuple[str, ...] = ()
    oracle: str = ""


def vanished(before: Sequence[float], after: Sequence[float]) -> list[int]:
    """The classes that had at least a quarter of an equal fraction of the predictions, and have lost nine tenths of it."""
    least = 0.25 / len(before)
    return [c for c, (had, has) in enumerate(zip(before, after, strict=True)) if had >= least and has < COLLAPSE * had]


def should_adapt(evidence: Evidence) -> Verdict:
    """The label-free answer for a run: measures must agree, the source must hold, and no class may vanish from the predictions.

    Two measures that count must be better and none worse for a yes; the other way round it is negative transfer. The target's labels,
    where known, do not change the answer: they confirm or contradict it.
    """
    answer, because, alarms = _label_free(evidence)
    if evidence.oracle is None:
        return Verdict(answer, because, alarms, "The target has no labels, so nothing can confirm this.")
    if evidence.oracle.effect < 0:
        alarms = (*alarms, "Negative transfer (oracle): the target's accuracy fell, and it is no accident.")
    return Verdict(answer, because, alarms, _confirmed(answer, evidence.oracle))


def _label_free(evidence: Evidence) -> tuple[Answer, str, tuple[str, ...]]:
    lost = [evidence.class_names[c] for c in vanished(*evidence.shares)]
    if lost:
        listed = _listed([f"“{name}”" for name in lost])
        alarm = f"Collapse: {listed} all but vanished from the predictions, which only a target without such rows excuses."
        return "no", f"classes vanished from the predictions ({listed})", (alarm,)
    better, worse = ([m.label for m in evidence.moves if m.counts and m.direction == sign] for sign in (1, -1))
    fell = evidence.source[0] - evidence.source[1] > SOURCE_DROP
    if (len(worse) > 1 and not better) or (fell and len(worse) > len(better)):
        alarm = "Negative transfer is likely: the label-free measures say that the target is predicted worse than before."
        return "no", f"{_listed(worse)} got worse" + ", and the source's accuracy fell" * fell, (alarm,)
    if len(better) > 1 and not worse and not fell:
        return "yes", f"{_listed(better)} got better, none got worse, and the source's accuracy held", ()
    return "cannot tell", _undecided(evidence, better, worse, fell), ()


def _undecided(evidence: Evidence, better: list[str], worse: list[str], fell: bool) -> str:
    if better and worse:
        return f"the measures disagree: {_listed(better)} got better, {_listed(worse)} worse"
    if fell:
        return f"{_listed(better) or 'nothing'} got better, but the source's accuracy fell by more than {100 * SOURCE_DROP:.0f} points"
    counting = sum(move.counts for move in evidence.moves)
    left = f", and only {counting} of {len(evidence.moves)} count: the method trains on the others' like" * (counting < len(evidence.moves))
    moved = f"only {_listed(better or worse)} got {'better' if better else 'worse'}" if better or worse else "no measure moved"
    return moved + left


def _confirmed(answer: Answer, oracle: Oracle) -> str:
    truth = {1: "it helps", -1: "it harms", 0: "there is no significant difference"}[oracle.effect]
    agrees = {"yes": 1, "no": -1, "cannot tell": 0}[answer] * oracle.effect
    verb = "confirm this" if agrees > 0 else "CONTRADICT this" if agrees < 0 else "do not settle it" if not oracle.effect else "settle it"
    before, after = (100 * hits / oracle.rows for hits in (oracle.before, oracle.after))
    return (
        f"Oracle: the target's labels {verb}: {truth}. Accuracy {before:.1f} → {after:.1f} %, {oracle.mended:,} predictions mended and "
        f"{oracle.broken:,} broken (p {shown_p(oracle.p)}, McNemar)."
    )


class Compared(NamedTuple):
    """A row of a table: its name in print, its gain over the baseline in points, and the corrected p-value; None where unknown."""

    label: str
    gain: float | None
    p: float | None
    over: str = ""
    """The baseline of its gain, in print, where that is not the table's."""

    @property
    def effect(self) -> int:
        """1 where it helps, -1 where it harms, 0 where the difference is not significant or not known."""
        if self.gain is None or self.p is None or self.p >= SIGNIFICANT:
            return 0
        return 1 if self.gain > 0 else -1


def should_adapt_by_table(recommended: Compared | None, rule: str, baseline: str, rows: Iterable[Compared]) -> Verdict:
    """Answer whether the row that a label-free ``rule`` recommends gains significantly; None stands for the baseline."""
    rows = list(rows)
    harmful = [row for row in rows if row.effect < 0]
    alarms = tuple(
        f"Negative transfer: {row.label} is {-(row.gain or 0):.1f} points below {row.over or baseline} (p {shown_p(row.p)})."
        for row in harmful
    )
    hindsight = _hindsight(rows, baseline)
    if recommended is None:
        return Verdict("no", f"{rule}, which sees no target label, prefers {baseline} to every method", alarms, hindsight)
    chosen = f"{rule}, which sees no target label, recommends {recommended.label}"
    if recommended.gain is None or recommended.p is None:
        return Verdict(
            "cannot tell", f"{chosen}, but too few of its runs beside those of {baseline} are finished for a test", alarms, hindsight
        )
    test = f"p {shown_p(recommended.p)}, paired, corrected"
    found = f"{chosen}, whose gain over {baseline} is {recommended.gain:+.1f} points ({test})"
    answers: dict[int, Answer] = {1: "yes", -1: "no", 0: "cannot tell"}
    return Verdict(answers[recommended.effect], found, alarms, hindsight)


def _hindsight(rows: Sequence[Compared], baseline: str) -> str:
    known = [row for row in rows if row.gain is not None and not row.over]  # gains over different baselines do not compete
    measured = "Oracle: the accuracies of a table, and so its gains, are measured with the target's labels."
    if not known:
        return measured
    best = max(known, key=lambda row: row.gain or 0)
    return f"{measured} In hindsight {best.label} gains most over {baseline}: {best.gain:+.1f} points (p {shown_p(best.p)})."


def shown_p(p: float | None) -> str:
    """A p-value as text after "p" in a sentence."""
    return "unknown" if p is None else f"= {p:.3f}" if p >= 0.001 else "< 0.001"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
