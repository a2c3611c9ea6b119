"""The results that each rule of selection would have given, from the histories of the finished runs."""

from __future__ import annotations

import math
import statistics
from typing import Any, NamedTuple

from tlda.bench.results import Results, shown
from tlda.bench.summary import Entry, average_over_tasks
from tlda.bench.table import METRIC, Table, is_error, scale_of
from tlda.documents.grid import Grid

ORACLE = "oracle/target/accuracy"
"""The accuracy on the target after each epoch; an honest rule does not use it."""


class Rule(NamedTuple):
    """A rule that chooses the epoch of a run: by the best value of a metric, or the last epoch where it has no metric."""

    label: str
    metric: str = ""
    higher_is_better: bool = True


LAST, BEST = Rule("last epoch"), Rule("oracle", ORACLE)
SOURCE = Rule("source accuracy", "val/source/accuracy")
"""The metric on the held-out rows of the source: accuracy, or the error where the table shows one."""

SOURCE_RISK = Rule("source risk", "val/source/risk", higher_is_better=False)
FEW_SHOT = Rule("few-shot target risk", "oracle/target/few_shot_risk", higher_is_better=False)
TARGET_RISK = Rule("oracle, by risk", "oracle/target/risk", higher_is_better=False)
"""With DEV the four rules of AdaTime (Ragab et al., TKDD 2023); the last two look at labels of the target, five of each class or all."""

TRANSLATION = [
    Rule("Fréchet distance", "val/translation/frechet", higher_is_better=False),
    Rule("kernel distance", "val/translation/kernel", higher_is_better=False),
    Rule("FID", "val/translation/inception_frechet", higher_is_better=False),
    Rule("KID", "val/translation/inception_kernel", higher_is_better=False),
    Rule("classes kept", "val/translation/semantic"),
]
"""The label-free rules that only a method that translates has; the distances are over its own judge's features, or over Inception's."""


def rules() -> list[Rule]:
    """Every rule: the last epoch, the source's accuracy and risk, the label-free validators, and, last, those that see target labels."""
    from tlda.metrics import VALIDATORS  # which imports torch

    validators = [Rule(v.label, f"val/target/{name}", bool(v.higher_is_better)) for name, v in VALIDATORS.items()]
    return [LAST, SOURCE, SOURCE_RISK, *validators, FEW_SHOT, TARGET_RISK, BEST]


def chosen(history: list[dict[str, float | None]], rule: Rule) -> int:
    """The epoch that ``rule`` chooses; the earliest of equals, and the last one where its metric was never finite."""
    sign = 1 if rule.higher_is_better else -1
    values = [-math.inf if (value := epoch.get(rule.metric)) is None else sign * value for epoch in history]
    return values.index(max(values)) if max(values) > -math.inf else len(history) - 1


def selected(result: dict[str, Any], rule: Rule) -> float:
    """The metric of the table, in percent, at the epoch that ``rule`` chooses."""
    if rule is LAST:
        return scale_of(result.get("metric", METRIC)) * shown(result)
    history = result["history"]
    return scale_of(result.get("metric", METRIC)) * float(history[chosen(history, rule_of(rule, result))][measured_of(result).metric])


def rule_of(rule: Rule, result: dict[str, Any]) -> Rule:
    """The ``rule`` for a result: the oracle looks at what the table shows, and so does the rule of the source where that is an error."""
    metric = result.get("metric", METRIC)
    if rule is BEST:
        return rule._replace(metric=metric.replace("test/", "oracle/", 1), higher_is_better=not is_error(metric))
    if rule is SOURCE and is_error(metric):
        return rule._replace(metric=metric.replace("test/target/", "val/source/", 1), higher_is_better=False)
    return rule


def measured_of(result: dict[str, Any]) -> Rule:
    """The metric of the rows of the target that measure, after each epoch: the oracle's, unless it looks at rows of its own."""
    oracle = rule_of(BEST, result)
    apart = oracle.metric.replace("oracle/target/", "oracle/measured/", 1)
    return oracle._replace(metric=apart) if apart in result["history"][-1] else oracle


def measured_rules(results: Results, candidates: list[Rule] | None = None) -> list[Rule]:
    """Those of the ``candidates`` (by default all rules) whose metric is in the history of all ``results``."""
    histories = [(result, result["history"][-1]) for result in results.values()]
    return [
        rule for rule in candidates or rules() if rule is LAST or all(rule_of(rule, result).metric in last for result, last in histories)
    ]


class Regret(NamedTuple):
    """The regret of a rule against the oracle, in points: the mean over runs and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.error:.2f}"


def regret(results: Results, rule: Rule) -> Regret:
    """The mean regret of ``rule`` over all ``results``, with its standard error."""
    signs = [-1 if is_error(result.get("metric", METRIC)) else 1 for result in results.values()]
    gaps = [sign * (selected(result, BEST) - selected(result, rule)) for sign, result in zip(signs, results.values(), strict=True)]
    return Regret(statistics.fmean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else 0.0)


def blocks(table: Table, results: Results) -> list[str | Grid]:
    """The grid of methods and rules, averaged over tasks, and a conclusion; empty where no run was validated more than once."""
    followed = {place: result for place, result in results.items() if len(result.get("history", ())) > 1 and "oracle" not in result["sees"]}
    honest = {place: result for place, result in followed.items() if not _tested_otherwise(result)}
    translating = {place: result for place, result in honest.items() if _translates_to_the_end(result["history"])}
    all_runs = (
        f"What a user would really get: the {table.metric_name} on the target of the epoch that each rule chooses, all read from the same "
        f"runs, the mean over tasks. {_looks_at(honest)}"
    )
    if len(honest) < len(followed):
        all_runs += " What adapts at test is left out: its epochs were validated without that."
    of_translation = (
        "When to stop to translate, by what the translations are like: the distances are over the features of the classifier that judges, "
        "or, as FID and KID, over Inception's. A run whose generators rest before its end is left out."
    )
    return [
        *_blocks(table, honest, rules(), all_runs, "selection"),
        *_blocks(table, translating, [LAST, *TRANSLATION, BEST], of_translation, "translation"),
    ]


def _tested_otherwise(result: dict[str, Any]) -> bool:
    """Whether the epochs of ``result`` were measured otherwise than its test: the method adapts at test, or the test is a stream."""
    import tlda.methods
    from tlda.method import Method

    if result["config"].get("data", {}).get("init_args", {}).get("stream"):
        return True
    name = result["config"].get("model", {}).get("class_path", "").rpartition(".")[2]
    return getattr(tlda.methods, name, Method).on_test_start is not Method.on_test_start


def _looks_at(results: Results) -> str:
    """Which inputs of the target the rules that see no label of it look at."""
    if results and all(result["config"].get("data", {}).get("init_args", {}).get("validate_on") == "train" for result in results.values()):
        return "All of this, the oracle too, is of the target's training inputs."
    return "A rule without target labels looks at the inputs that are measured: it is transductive."


def _translates_to_the_end(history: list[dict[str, float | None]]) -> bool:
    """Whether the translation still changed in the last epoch: all its metrics are constant where the generators rest."""
    *before, last = ({rule.metric: epoch[rule.metric] for rule in TRANSLATION if rule.metric in epoch} for epoch in history[-2:])
    return bool(last) and last not in before


def _blocks(table: Table, results: Results, candidates: list[Rule], text: str, name: str) -> list[str | Grid]:
    found = measured_rules(results, candidates)
    if not results or BEST not in found:
        return []
    methods = [m for m in table.methods if any(m == method for method, _, _ in results)]
    rows = [[table.label(m), *(str(_entry(table, results, m, rule)) for rule in found)] for m in methods]
    regrets = {rule: regret(results, rule) for rule in found}
    best = min((rule for rule in found if not rule.metric.startswith("oracle/")), key=lambda rule: regrets[rule].mean)
    footers = [["regret: oracle less this", *map(str, regrets.values())]]
    if name == "translation" and len(table.tasks) > 1:
        of_tasks = {task: {place: result for place, result in results.items() if place[1] == task} for task in table.tasks}
        footers += [[f"on {table.label(t)}", *(str(regret(own, rule)) for rule in found)] for t, own in of_tasks.items() if own]
    comes_to = (
        f"{text} Over {len(results)} runs the best rule that sees no target label is {best.label}: its mean regret to the oracle "
        f"is {regrets[best]} points (± standard error); the last epoch's is {regrets[LAST]}."
    )
    bold = {(len(rows), 1 + found.index(best))}
    return [comes_to, Grid(["method", *(rule.label for rule in found)], [*rows, *footers], bold, name)]


def _entry(table: Table, results: Results, method: str, rule: Rule) -> Entry:
    def of(task: str) -> Entry:
        return Entry({s: selected(results[method, task, s], rule) for s in table.seeds if (method, task, s) in results}, len(table.seeds))

    return average_over_tasks(table, {task: of(task) for task in table.tasks})
