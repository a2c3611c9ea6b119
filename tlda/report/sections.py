"""The sections of the report of a run, before and after: classes, features, calibration, class frequencies, attribution."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from tlda.data.pair import DomainPair
from tlda.documents import svg
from tlda.metrics.label_shift import class_shares, joint_shares, label_shift
from tlda.report.attribution import convolutions, grad_cam
from tlda.report.of_translation import LABELS, translation_grid, translator_of
from tlda.report.page import AFTER, BEFORE, SOURCE, TARGET, TRUE, Block, Figure, Section
from tlda.report.pictures import flat, some_rows
from tlda.report.seen import FinishedRun, Outcome, Seen
from tlda.report.sides import legend_of
from tlda.report.texts import Shown, cards

BINS = 15
"""The bins of confidence (Guo et al., ICML 2017)."""

LEAST = 5
"""The fewest rows of a bin that is drawn; the accuracy of fewer rows is noise."""

CLASSES = 40
"""The most classes of a figure that has a row for each."""

CHANGED, SAME = 6, 2
"""The numbers of images in the attribution: with a changed prediction, and with the same."""


class Side(NamedTuple):
    """One side of a comparison: its printed name, its colour, the run, and its outputs for both domains."""

    label: str
    colour: str
    run: FinishedRun
    outcome: Outcome


# Classes


def classes_section(sides: Sequence[Side], names: Sequence[str]) -> Section:
    """Accuracy by class and confusion, or how often each class is predicted where the target has no labels."""
    if not sides[-1].outcome.target.labelled:
        return Section("Classes", [_predicted_shares(sides, names)])
    joint = [joint_shares(side.outcome.target.labels, side.outcome.target.predicted, len(names)) for side in sides]
    return Section("Classes (oracle)", confusion_figures(joint, [side.label for side in sides], names))


def confusion_figures(joint: Sequence[Tensor], labels: Sequence[str], names: Sequence[str]) -> list[Block]:
    """Accuracy by class, and confusion matrices, from counts or shares (c, c) of rows by true and predicted class, before and after."""
    share = [matrix / matrix.sum(1, keepdim=True) for matrix in joint]
    by_class = [100 * matrix.diagonal() for matrix in share]
    colours = [BEFORE, AFTER][-len(joint) :]
    legend = list(zip(colours, labels, strict=True))
    shown = most_moved(by_class[0], by_class[-1])
    dots = svg.rows_of_dots([names[c] for c in shown], [[float(v[c]) for c in shown] for v in by_class], colours, labels)
    matrices = [svg.heat(label, matrix.nan_to_num(0.0), names) for label, matrix in zip(labels, share, strict=True)]
    return [Figure([dots], ACCURACIES + _cut(shown, names), legend, "plots wide"), Figure(matrices, CONFUSION, (), "plots wide")]


ACCURACIES = (
    "Accuracy on the target by class, in percent: a line to the right is a gain, one to the left a loss. Adaptation that helps on average "
    "and loses a class has swapped one error for another."
)
CONFUSION = (
    "The target's rows by true class (down) and predicted class (across), in percent of the true class. A column that fills up is a class "
    "that swallows others; one that empties is a collapse."
)


def _predicted_shares(sides: Sequence[Side], names: Sequence[str]) -> Figure:
    shares = [100 * class_shares(side.outcome.target.predicted, len(names)) for side in sides]
    shown = most_moved(shares[0], shares[-1])
    dots = svg.rows_of_dots([names[c] for c in shown], [[float(s[c]) for c in shown] for s in shares], *zip(*legend_of(sides), strict=True))
    caption = (
        "How often each class is predicted on the target, in percent: the target has no labels, so there is no accuracy by class. "
        "A class that falls to zero has collapsed."
    )
    return Figure([dots], caption + _cut(shown, names), legend_of(sides), "plots wide")


def most_moved(before: Tensor, after: Tensor, most: int = CLASSES) -> list[int]:
    """Every class in its order, or the ``most`` whose values (c,) differ most."""
    order = (after - before).abs().nan_to_num(0.0).argsort(descending=True, stable=True)[:most]
    return sorted(order.tolist())


def _cut(shown: Sequence[int], names: Sequence[str]) -> str:
    return f" Shown are the {len(shown)} of {len(names)} classes that moved most." if len(shown) < len(names) else ""


# The stream


def stream_figure(curves: Sequence[tuple[str, str, Sequence[float]]]) -> Figure:
    """The error over a stream: of each line its name, its colour, and the error in percent in each of equal parts, in their order."""
    series = [
        svg.Series(label, colour, [(100 * (part + 0.5) / len(errors), error) for part, error in enumerate(errors)])
        for label, colour, errors in curves
    ]
    return Figure([svg.curves("error on the target, %", series, "% of the stream")], STREAM, [(s.colour, s.label) for s in series])


STREAM = (
    "The error over the position in the stream as which the target is tested (oracle). A line that falls is a method that goes on learning "
    "from what passes; one that rises above that of source only is one that the order of the stream, or what it adapted before, misleads."
)


def stream_sections(sides: Sequence[Side], data: DomainPair) -> list[Section]:
    """The error of each side over the stream of ``data``; no section where they are no stream, or one without labels."""
    if not (data.stream and data.measures_target):
        return []
    curves = [(side.label, side.colour, [100 * error for error in side.run.passed(data)]) for side in sides]
    return [Section("Stream (oracle)", [stream_figure(curves)])]


# Features


def features_section(sides: Sequence[Side], names: Sequence[str]) -> Section:
    """The features of both domains in two dimensions."""
    plots = [plot for side in sides for plot in _scatters(side, names)]
    hues = [(SOURCE, "source"), (TARGET, "target")]
    classes = [(class_colour(c, len(names)), name) for c, name in enumerate(names)] if len(names) <= 20 else []
    return Section("Features", [Figure(plots, FEATURES, [*hues, *classes])])


FEATURES = (
    "Features of the same rows of both domains in two dimensions (t-SNE), by domain, and by class, with source as dots and target "
    "as crosses (grey where there is no label). Aligned domains lie on each other; what matters more is that each cluster of the target "
    "lies on the source's of the same class. t-SNE shows neighbours, not distances: the proxy A-distance above is the number."
)


def _scatters(side: Side, names: Sequence[str]) -> list[str]:
    ends = [side.outcome.source, side.outcome.target]
    rows = [some_rows(end.features) for end in ends]
    places = flat(torch.cat([end.features[few] for end, few in zip(ends, rows, strict=True)]))
    crosses = [False] * len(rows[0]) + [True] * len(rows[1])
    classes = [class_colour(c, len(names)) for end, few in zip(ends, rows, strict=True) for c in end.labels[few].tolist()]
    domains = [TARGET if cross else SOURCE for cross in crosses]
    return [svg.scatter(f"{side.label}, by {what}", places, hue, crosses) for what, hue in (("domain", domains), ("class", classes))]


def class_colour(c: int, count: int) -> str:
    """The colour of class ``c`` of ``count`` as a CSS value, as far from the others' as can be; grey for none."""
    if c < 0:
        return "var(--dim)"
    lightness = (50, 36, 60)[c % 3] if count > 6 else 50
    return f"hsl({360 * c / count:.0f} 70% {lightness}%)"


# Calibration


def calibration_error(seen: Seen) -> float:
    """The expected calibration error (Guo et al., ICML 2017, eq. 3) in 15 bins, 0 to 1."""
    return float(multiclass_calibration_error(seen.logits.softmax(1), seen.labels, seen.logits.shape[1], BINS))


def bins(seen: Seen) -> list[svg.Bin]:
    """The bins of confidence that have :data:`LEAST` rows."""
    confidence, predicted = seen.logits.softmax(1).double().max(1)
    place = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    right = (predicted == seen.labels).double()
    rows = [place == b for b in range(BINS)]
    return [svg.Bin(float(confidence[r].mean()), float(right[r].mean()), float(r.double().mean())) for r in rows if r.sum() >= LEAST]


def calibration_section(sides: Sequence[Side]) -> Section:
    """Reliability diagrams and the calibration error."""
    ends = {"held-out source": [side.outcome.source for side in sides]}
    if sides[-1].outcome.target.labelled:
        ends["target (oracle)"] = [side.outcome.target for side in sides]
    plots = []
    for what, domain in ends.items():
        errors = " → ".join(f"{calibration_error(seen):.3f}" for seen in domain)
        lines = [(side.label, side.colour, bins(seen)) for side, seen in zip(sides, domain, strict=True)]
        plots.append(svg.reliability(f"{what}, ECE {errors}", lines))
    caption = (
        "Accuracy by confidence; the area of a dot is its share of the rows. On the dashed line a prediction of 80 % is right four times "
        "in five; below it the network is overconfident, to which adaptation by certainty tends. ECE, the expected calibration error, is "
        f"the mean distance from the line over {BINS} bins; those of fewer than {LEAST} rows are not drawn."
    )
    return Section("Calibration", [Figure(plots, caption, legend_of(sides))])


# Label shift


def shift_section(sides: Sequence[Side], names: Sequence[str]) -> Section:
    """Estimates of the class frequencies on the target, made without labels."""
    estimates = [label_shift(s.outcome.source.labels, s.outcome.source.predicted, s.outcome.target.predicted, len(names)) for s in sides]
    series = [100 * estimate.shares for estimate in estimates]
    legend = [(side.colour, f"estimated from {side.label}") for side in sides]
    target = sides[-1].outcome.target
    text = ""
    if target.labelled:
        truth = class_shares(target.labels, len(names))
        series.append(100 * truth)
        legend.append((TRUE, "true (oracle)"))
        off = " → ".join(f"{50 * float((e.shares - truth).abs().sum()):.1f}" for e in estimates)
        text = f" The estimate is off by {off} points in total variation."
    if max(estimate.condition for estimate in estimates) > 100:
        text += " It is not to be trusted here: the confusion on the source is nearly singular."
    shown = most_moved(series[0], series[-1])
    dots = svg.rows_of_dots([names[c] for c in shown], [[float(s[c]) for c in shown] for s in series], *zip(*legend, strict=True))
    return Section("Class shares of the target", [Figure([dots], SHIFT + text + _cut(shown, names), legend, "plots wide")])


SHIFT = (
    "How frequent the classes are on the target, in percent, as estimated without its labels from the confusion on the source (BBSE, "
    "Lipton et al., ICML 2018). The estimate holds where only the shares differ; where the images differ too, it is as good as "
    "the alignment."
)


# Attribution


def attribution_sections(sides: Sequence[Side], data: DomainPair) -> list[Section]:
    """The parts of some target images or texts that the predictions depend on; rows of numbers have columns instead."""
    rows = interesting([side.outcome.target.predicted for side in sides])
    order = torch.cat([*data.val_dataloader()[1].sampler])
    if data.tokenizers:
        return [Section("Attribution", [_texts(sides, data, rows, order)])]
    x = data.on_after_batch_transfer(data.evaluation_rows[1][order[rows]], 1).x
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not all(convolutions(side.run.method) for side in sides):
        none = "It needs texts, or images and a backbone with a convolution, which this run does not have."
        return [] if hasattr(data, "encoded") else [Section("Attribution", [none])]
    found = [grad_cam(side.run.method, x, side.outcome.target.predicted[rows]) for side in sides]
    cards = [_card(sides, data.task.classes, int(row), x[i], [a.heat[i] for a in found]) for i, row in enumerate(rows)]
    layers = ", ".join(dict.fromkeys(f"backbone.{a.layer}" for a in found))
    caption = (
        f"Target images, and where each prediction comes from (Grad-CAM at {layers}; red is much): the image, then "
        + " and ".join(side.label for side in sides)
        + ". "
        "Drawn at random, those whose prediction changed first. Heat beside the object says that the network looks at what comes with the "
        "domain."
    )
    return [Section("Attribution", [Figure(cards, caption, (), "images")])]


def _texts(sides: Sequence[Side], data: Any, rows: Tensor, order: Tensor) -> Figure:
    shown = Shown(data.evaluation_rows[1][order].x, data.tokenizer)
    predicted = [side.outcome.target.predicted[rows].tolist() for side in sides]
    said = [_said(sides, data.task.classes, row) for row in rows.tolist()]
    found = cards(shown, rows.tolist(), [side.run.method for side in sides], [side.colour for side in sides], predicted, said)
    caption = (
        "Texts of the target, and which tokens each prediction looks at: the stronger the colour, the larger the gradient of the predicted "
        "class's logit with respect to the token. A word that is classified is bold. Drawn at random, those whose prediction changed first."
    )
    return Figure(found, caption, legend_of(sides), "texts")


def translation_sections(side: Side, data: DomainPair) -> list[Section]:
    """Images of both domains, translated there and back; no section where the method translates none."""
    translator = translator_of(side.run.method)
    if translator is None:
        return []
    picture = (
        f'<img alt="{"; ".join(LABELS)}" style="width: 100%" class="pixels" src="{svg.png(_bytes(translation_grid(translator, data)))}"/>'
    )
    caption = (
        f"Rows, from the top: {'; '.join(LABELS)}. Drawn at random from what is measured. A translation keeps the class and takes the look."
    )
    return [Section("Translation", [Figure([picture], caption, (), "whole")])]


def interesting(predicted: Sequence[Tensor]) -> Tensor:
    """Up to six rows whose prediction changed from first to last, and two or, where fewer changed, more that did not; drawn at random."""
    order = torch.randperm(len(predicted[0]), generator=torch.Generator().manual_seed(0))
    changed = (predicted[0] != predicted[-1])[order]
    first = order[changed][:CHANGED]
    return torch.cat([first, order[~changed][: CHANGED + SAME - len(first)]])


def _card(sides: Sequence[Side], names: Sequence[str], row: int, image: Tensor, heats: Sequence[Tensor]) -> str:
    pictures = [image.expand(3, -1, -1), *(overlay(image, heat) for heat in heats)]
    words = ["target image", *(side.label for side in sides)]
    tags = "".join(f'<img alt="{word}" src="{svg.png(_bytes(p))}"/>' for word, p in zip(words, pictures, strict=True))
    return f"<div>{tags}<p>{html.escape(_said(sides, names, row))}</p></div>"


def _said(sides: Sequence[Side], names: Sequence[str], row: int) -> str:
    """The predictions for a target row before and after, and its label, where it has one."""
    label = int(sides[-1].outcome.target.labels[row])
    said = " → ".join(names[int(side.outcome.target.predicted[row])] for side in sides)
    return f"predicted {said}" + (f", labelled {names[label]} (oracle)" if label >= 0 else "")


def overlay(image: Tensor, heat: Tensor) -> Tensor:
    """The image (c, h, w) in 0..1 in grey, with the heat (h, w) as red over it, (3, h, w)."""
    grey = image.mean(0).expand(3, -1, -1)
    return grey * (1 - 0.65 * heat) + 0.65 * heat * torch.tensor([1.0, 0.15, 0.1])[:, None, None]


def _bytes(image: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = (255 * image.clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous().numpy()
    return pixels
