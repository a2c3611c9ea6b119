"""The results of a ranking as tables."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean
from typing import Any

from tlda.documents.grid import Document, Grid
from tlda.rank.score import SCORES

NAMES = {"logme": "LogME", "h_score": "H-score", "transrate": "TransRate", "leep": "LEEP", "nce": "NCE"}
NONE = "—"
TRUTHS = {"probe": "the probe", "fine_tuned": "fine-tuning"}
Found = dict[str, dict[str, dict[str, Any]]]
"""By task and candidate, what was measured."""


def document(title: str, results: dict[str, Any]) -> Document:
    """The page of ``results``."""
    found: Found = results["tasks"]
    blocks: list[str | Grid] = [title, _introduction(results)]
    for task, candidates in found.items():
        blocks += [f"**{task}**", _table(task, candidates)]
    return [*blocks, _agreement_note(found), _agreement(found)]


def _introduction(results: dict[str, Any]) -> str:
    part = results["labelled"]
    shots = f"{part['shots']} labelled images a class" if part.get("shots") else "all labelled images"
    text = (
        f"Each score is of {shots} of the target that are not among those that measure: larger is better. *Probe* is the accuracy in "
        "percent, on the others, of a logistic regression of the same images' features"
    )
    if any("fine_tuned" in entry for task in results["tasks"].values() for entry in task.values()):
        text += "; *fine-tuned* that of training the network on them"
    text += f". {results['protocol'].strip()}" if results.get("protocol") else "."
    return f"{text} LEEP and NCE ask for a classifier of source classes, which not every candidate has. Sorted by {NAMES[SCORES[0]]}."


def value(entry: dict[str, Any], name: str) -> float | None:
    """The score ``name`` of what was measured of a candidate, if it has one."""
    found = entry["scores"].get(name)
    return None if found is None else float(found["value"])


def truth(entry: dict[str, Any], kind: str) -> float | None:
    """The accuracy of the candidate, if it was measured: ``kind`` is ``probe`` or ``fine_tuned``."""
    found = entry.get(kind)
    return found["accuracy"] if isinstance(found, dict) else found


def _table(task: str, candidates: dict[str, dict[str, Any]]) -> Grid:
    names = sorted(candidates, key=lambda name: -(value(candidates[name], SCORES[0]) or 0.0))
    columns = [[value(candidates[name], score) for name in names] for score in SCORES]
    columns += [[truth(candidates[name], kind) for name in names] for kind in TRUTHS]
    texts = [_number(columns[i], "{:.3f}") for i in range(len(SCORES))] + [_number(column, "{:.1f}", 100.0) for column in columns[-2:]]
    best = {(i, j + 1) for j, column in enumerate(texts) for i in _largest(columns[j], column)}
    rows = [[name, *(column[i] for column in texts)] for i, name in enumerate(names)]
    return Grid(["candidate", *NAMES.values(), "probe", "fine-tuned"], rows, best, task)


def _number(column: Iterable[float | None], form: str, scale: float = 1.0) -> list[str]:
    return [NONE if number is None else form.format(scale * number) for number in column]


def _largest(column: list[float | None], texts: list[str]) -> list[int]:
    """Where the largest number of ``column`` is, and those that are printed like it."""
    known = [number for number in column if number is not None]
    return [i for i, text in enumerate(texts) if known and text == texts[column.index(max(known))]]


def _agreement_note(found: Found) -> str:
    return (
        "**How well each score orders the candidates**: Kendall's τ with the accuracy, the mean over "
        f"{len(found)} task(s), 1 for the same order; in brackets the candidates that it is over. A task where all are equal is left out. "
        "Seconds are the mean of one score."
    )


def _agreement(found: Found) -> Grid:
    rows = []
    for score in SCORES:
        seconds = [e["scores"][score]["seconds"] for task in found.values() for e in task.values() if score in e["scores"]]
        rows.append([NAMES[score], *(_tau(found, score, kind) for kind in TRUTHS), f"{mean(seconds):.3f}" if seconds else NONE])
    return Grid(["score", *(f"τ with {name}" for name in TRUTHS.values()), "seconds"], rows, name="agreement")


def _tau(found: Found, score: str, kind: str) -> str:
    from scipy.stats import kendalltau

    taus, counts = [], []
    for task in found.values():
        pairs = [(value(entry, score), truth(entry, kind)) for entry in task.values()]
        known = [(round(s, 9), accuracy) for s, accuracy in pairs if s is not None and accuracy is not None]
        if len(known) > 2 and all(len(set(column)) > 1 for column in zip(*known, strict=True)):  # among equals there is no order
            taus.append(float(kendalltau(*zip(*known, strict=True)).statistic))
            counts.append(len(known))
    return f"{mean(taus):.2f} ({max(counts)})" if taus else NONE


def similarity_document(title: str, results: dict[str, Any]) -> Document:
    """The page of the distances between domains."""
    blocks: list[str | Grid] = [
        f"{title}: how far apart the domains are",
        "Proxy A-distance (0: not to be told apart, 2: never confused) and MMD of the features, which need no label. *Transfer* is the "
        "accuracy in percent, on the target, of a logistic regression of the source's features: whether the nearest source was the best.",
    ]
    for candidate, pairs in results["pairs"].items():
        blocks += [f"**{candidate}**", _pairs(candidate, pairs), _nearest(pairs)]
    return blocks


def _pairs(candidate: str, pairs: list[dict[str, Any]]) -> Grid:
    ordered = sorted(pairs, key=lambda pair: (pair["target"], pair["a_distance"]))
    rows = [
        [p["target"], p["source"], f"{p['a_distance']:.2f}", f"{p['mmd']:.3f}", f"{100 * p['transfer']:.1f}" if "transfer" in p else NONE]
        for p in ordered
    ]
    return Grid(["target", "source", "A-distance", "MMD", "transfer"], rows, name=candidate)


def _nearest(pairs: list[dict[str, Any]]) -> str:
    said = []
    for target in dict.fromkeys(pair["target"] for pair in pairs):
        sources = [pair for pair in pairs if pair["target"] == target]
        nearest = {kind: min(sources, key=lambda pair: pair[kind])["source"] for kind in ("a_distance", "mmd")}
        best = max(sources, key=lambda pair: pair.get("transfer", 0.0))["source"]
        said.append(f"nearest to {target}: {nearest['a_distance']} (A-distance), {nearest['mmd']} (MMD); best: {best}")
    return "; ".join(said) + "."
