"""The report of a run: the changes of predictions, features and certainty by adaptation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tlda.batch import read_by
from tlda.config.protocol import differing, protocol
from tlda.documents import svg
from tlda.documents.grid import Grid
from tlda.metrics import VALIDATORS
from tlda.metrics.distances import proxy_a_distance
from tlda.metrics.label_shift import class_shares
from tlda.report.columns import column_sections
from tlda.report.decision import Evidence, Move, Oracle, Verdict, should_adapt, vanished
from tlda.report.map_cards import map_sections
from tlda.report.of_answers import of_answers
from tlda.report.page import AFTER, BEFORE, Block, Figure, Report, Section, Tile
from tlda.report.sections import (
    Side,
    attribution_sections,
    calibration_error,
    calibration_section,
    classes_section,
    features_section,
    shift_section,
    stream_sections,
    translation_sections,
)
from tlda.report.seen import FinishedRun, Seen, load_run, require_same_task
from tlda.report.sides import legend_of, lines, title_and_about
from tlda.tasks import Classification, Segmentation
from tlda.tasks.segmentation import KEPT

CERTAINTY = ("entropy", "information_maximization", "bnm")
"""The measures that say how certain the target's predictions are."""


def of_run(folder: Path, before: Path | None) -> Report:
    """The report of the run in ``folder``, beside that of ``before``, where one is given.

    It is that of :func:`of_answers` where the answer to a row is not one class.

    Raises:
        UserError: a folder is no finished run, or the two are of other tasks.
    """
    run = load_run(folder)
    other = load_run(before) if before is not None else None
    if other is not None:
        require_same_task(run, other)
    if not isinstance(run.data.task, Classification):
        return of_answers(run, other)
    runs = [*([("before", BEFORE, other)] if other else []), ("after", AFTER, run)]
    # Both are measured on the rows that the run of the report has held out.
    sides = [Side(f"{word}: {of.name}", colour, of, of.look(run.data, read_by(run.method))) for word, colour, of in runs]
    names = run.data.task.classes
    sections = [
        _evidence(sides, names),
        _curves(sides),
        *stream_sections(sides, run.data),
        classes_section(sides, names),
        features_section(sides, names),
        calibration_section(sides),
        shift_section(sides, names),
        *column_sections(sides, run.data),
        *(map_sections(sides, names) if isinstance(run.data.task, Segmentation) else attribution_sections(sides, run.data)),
        *translation_sections(sides[-1], run.data),
    ]
    title, about = title_and_about(sides, f"{len(names)} classes")
    if isinstance(run.data.task, Segmentation):
        about += f" A row is a position: {KEPT} of each image that is measured, without void."
    return Report(title, about, _verdict(sides, names), _tiles(sides), sections)


# The verdict and what it rests on


def evidence(before: Side, after: Side, names: Sequence[str]) -> Evidence:
    """Compare ``after`` with ``before``."""
    ends = before.outcome, after.outcome
    first, second = (end.target.predicted for end in ends)
    shares = [class_shares(predicted, len(names)).tolist() for predicted in (first, second)]
    source = (ends[0].source.accuracy, ends[1].source.accuracy)
    changed = float((first != second).double().mean())
    return Evidence(
        source, moves(before, after, len(names)), changed, (shares[0], shares[1]), names, oracle(ends[0].target, ends[1].target)
    )


def moves(before: Side, after: Side, classes: int) -> tuple[Move, ...]:
    """The label-free measures before and after. Those of certainty do not count for a method that trains on it."""
    spans = {"bnm": 1.0, "mixval": 1.0}
    found = []
    measured = before.outcome.validators, after.outcome.validators
    for name in (*CERTAINTY, "mixval"):
        if any(name not in values for values in measured):
            continue  # MixVal mixes images or features, and no tokens
        validator = VALIDATORS[name]
        values = measured[0][name], measured[1][name]
        counts = not (after.run.trains_on_certainty and name in CERTAINTY)
        found.append(Move(validator.label, *values, bool(validator.higher_is_better), spans.get(name, math.log(classes)), counts))
    return tuple(found)


def oracle(before: Seen, after: Seen) -> Oracle | None:
    """The evidence of the target's labels, or None where there are none."""
    if not after.labelled:
        return None
    was, now = before.predicted == before.labels, after.predicted == after.labels
    return Oracle(len(was), int(was.sum()), int(now.sum()), int((now & ~was).sum()), int((was & ~now).sum()))


def _verdict(sides: Sequence[Side], names: Sequence[str]) -> Verdict:
    if len(sides) == 2:
        verdict = should_adapt(evidence(sides[0], sides[1], names))
        return verdict._replace(alarms=(*verdict.alarms, *_unlike(sides[0].run, sides[1].run)))
    folder = sides[0].run.folder
    how = (
        f"Make it with `tlda fit -c {folder / 'config.yaml'} --model SourceOnly --model.plus null`, "
        f"then `tlda report {folder} --before` and the folder that it names."
    )
    return Verdict("cannot tell", "there is nothing to compare with: no run on the source alone was named", (), how)


def _unlike(before: FinishedRun, after: FinishedRun) -> list[str]:
    """The differences between the runs beside the method."""
    lines = differing(protocol(after.config), protocol(before.config))
    return [f"The two were not trained alike, so that more than the method differs: {lines} before."] if lines else []


def _evidence(sides: Sequence[Side], names: Sequence[str]) -> Section:
    if len(sides) == 1:
        values = sides[0].outcome.validators
        return Section(
            "Evidence",
            [Grid(["label-free measure of the target", "value"], [[VALIDATORS[n].label, f"{v:.3f}"] for n, v in values.items()])],
        )
    found = evidence(sides[0], sides[1], names)
    words = {1: "better", -1: "worse", 0: "no move"}
    rows = [
        [
            "accuracy on held-out source rows",
            *(f"{100 * a:.1f} %" for a in found.source),
            f"{100 * (found.source[1] - found.source[0]):+.1f} points",
        ]
    ]
    for move in found.moves:
        what = words[move.direction] + ("" if move.counts else "; does not count: the method trains on its like")
        rows.append(
            [f"{move.label} ({'higher' if move.higher_is_better else 'lower'} is better)", f"{move.before:.3f}", f"{move.after:.3f}", what]
        )
    lost = [names[c] for c in vanished(*found.shares)]
    rows.append(["target predictions that changed", "", f"{100 * found.changed:.1f} %", ""])
    rows.append(["classes that vanished from the predictions", "", ", ".join(lost) or "none", "collapse" if lost else ""])
    text = (
        "The answer above follows from this table alone, without a target label: yes needs two measures that got better, none that got "
        "worse, a source accuracy that held, and no class that vanished. A measure counts where it moved by a hundredth of its range."
    )
    if sides[0].run.seed != sides[1].run.seed:
        text += " The runs have other seeds: where the source has no test rows of its own, each trained on some that the other held out."
    return Section("Evidence without labels", [text, Grid(["measure", "before", "after", ""], rows)])


def _tiles(sides: Sequence[Side]) -> list[Tile]:
    def tile(label: str, values: list[str]) -> Tile:
        return Tile(" → ".join(values), label)

    ends = [side.outcome for side in sides]
    tiles = [tile("source accuracy, held out", [f"{100 * end.source.accuracy:.1f} %" for end in ends])]
    if ends[-1].target.labelled:
        tiles.append(tile("target accuracy (oracle)", [f"{100 * end.target.accuracy:.1f} %" for end in ends]))
        tiles.append(tile("target calibration error (oracle)", [f"{calibration_error(end.target):.3f}" for end in ends]))
    tiles.append(
        tile(
            "proxy A-distance of the features, 0 to 2",
            [f"{proxy_a_distance(end.source.features, end.target.features):.2f}" for end in ends],
        )
    )
    if len(sides) == 2:
        tiles.append(
            Tile(
                f"{100 * float((ends[0].target.predicted != ends[1].target.predicted).double().mean()):.1f} %",
                "target predictions that changed",
            )
        )
    return tiles


# Curves


def _curves(sides: Sequence[Side]) -> Section:
    measured = {"val/source/accuracy": "source accuracy, held out", "oracle/target/accuracy": "target accuracy (oracle)"}
    measured |= {"val/source/mean_iou": "source mean IoU, held out", "oracle/target/mean_iou": "target mean IoU (oracle)"}
    measured |= TRANSLATION
    measured |= {f"val/target/{n}": f"{v.label} ({'higher' if v.higher_is_better else 'lower'} is better)" for n, v in VALIDATORS.items()}
    plots = [svg.curves(title, found, "epoch") for name, title in measured.items() if (found := lines(sides, name))]
    terms = [name for name in sides[-1].run.curves if name.startswith("train/")]
    training = [svg.curves(name.removeprefix("train/"), lines(sides[-1:], name), "step") for name in terms]
    blocks: list[Block] = []
    if plots:
        blocks.append(Figure(plots, CURVES, legend_of(sides)))
    if training:
        blocks.append(Figure(training, TERMS, legend_of(sides[-1:])))
    return Section("Training", blocks or ["The run has no metrics.csv, so there are no curves."])


TRANSLATION = {
    "val/translation/frechet": "Fréchet distance of translated images from the target's, over the judge's features (lower is better)",
    "val/translation/kernel": "kernel distance of them, over the judge's features (lower is better)",
    "val/translation/inception_frechet": "Fréchet distance of them over Inception's features, FID (lower is better)",
    "val/translation/inception_kernel": "kernel distance of them over Inception's features, KID (lower is better)",
    "val/translation/semantic": "fraction of images whose class the frozen source classifier keeps",
}
"""The curves of a run that translates, with their titles."""

CURVES = (
    "What was measured after each epoch. A measure that gets worse while the training goes on says when to stop; one that ends beyond "
    "that of before is evidence that adaptation helps. The oracle's curve is for checking, never for choosing."
)
TERMS = (
    "The terms of the training loss by step. Where a term is the cross-entropy of a domain discriminator (DANN, CDAN), zero means that it "
    "distinguishes them, so that alignment fails, and ln 2 = 0.69 that it cannot."
)
