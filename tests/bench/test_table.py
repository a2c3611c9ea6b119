"""A table's numbers, against an independent computation, and what they may be computed from."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from scipy.stats import t as t_distribution
from scipy.stats import ttest_rel

from tests.commands.test_bad_input import refused
from tests.conftest import EXPERIMENTS, Tlda
from tests.helpers.results import result_of
from tlda.bench.plot import figure, groups, plot
from tlda.bench.summary import Entry, paired_test
from tlda.bench.table import load_table, merge
from tlda.config.protocol import differing, protocol
from tlda.errors import UserError

TABLE: dict[str, Any] = {
    "title": "Golden",
    "base": str(EXPERIMENTS / "base" / "embedded.yaml"),
    "methods": {
        "base": {"model": {"class_path": "SourceOnly"}},
        **{name: {"model": {"class_path": "DANN", "init_args": {"trade_off": i}}} for i, name in enumerate(("a", "b", "top"))},
    },
    "tasks": {name: str(EXPERIMENTS / "task" / f"{name}.yaml") for name in ("fonts_handwritten", "handwritten_fonts")},
    "seeds": [0, 1, 2],
    "labels": {"base": "source only", "fonts_handwritten": "f → h"},
}
TASKS = list(TABLE["tasks"])
ACCURACY = np.random.default_rng(0).uniform(0.3, 0.75, (4, 2, 3)) + np.array([0, 0.05, 0.1, 0.2])[:, None, None]
"""By method, task and seed; ``top`` is best everywhere, and an oracle."""


@pytest.fixture
def golden(tlda: Tlda) -> Path:
    """A table with a result for each cell, that no training made."""
    path = Path("golden.yaml")
    path.write_text(yaml.safe_dump(TABLE, sort_keys=False))
    folder = Path("results/golden")
    folder.mkdir(parents=True)
    for cell in load_table(path).cells():
        method, task = list(TABLE["methods"]).index(cell.method), TASKS.index(cell.task)
        metrics = {
            "test/target/accuracy": float(ACCURACY[method, task, cell.seed]),
            "test/target/information_maximization": float(method + cell.seed),
        }
        result = result_of(cell, sees=["oracle"] if cell.method == "top" else ["source"], metrics=metrics)
        (folder / f"{cell.name}.json").write_text(json.dumps(result))
    return folder


def table_rows(folder: Path) -> list[list[str]]:
    lines = [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|") and "---" not in line]
    return [[entry.strip() for entry in line.strip("|").split("|")] for line in lines]


def shown(values: np.ndarray[Any, Any]) -> str:
    return f"{100 * values.mean():.1f} ± {100 * values.std(ddof=1):.1f}"


def test_the_table_is_what_numpy_says(tlda: Tlda, golden: Path) -> None:
    assert tlda("bench", "golden.yaml", "--render").code == 0
    head, *rows = table_rows(golden)
    assert head == ["method", "f → h", "handwritten_fonts", "average", "gain over source only", "95 % CI", "p"]
    assert [row[0] for row in rows] == ["source only", "a", "b", "top (oracle)"]
    honest = ACCURACY[:3]
    best = [honest[:, 0].mean(1).argmax(), honest[:, 1].mean(1).argmax(), honest.mean((1, 2)).argmax()]
    for i, row in enumerate(rows):
        expected = [shown(ACCURACY[i, 0]), shown(ACCURACY[i, 1]), shown(ACCURACY[i].mean(0))]
        assert row[1:4] == [f"**{text}**" if best[column] == i else text for column, text in enumerate(expected)]
        gain = ACCURACY[i].mean(0) - ACCURACY[0].mean(0)
        assert row[4].strip("*").removesuffix(" ▼") == (shown(gain) if i else "–")
    assert "**" not in "".join(rows[3]), "an oracle is never bold"


def test_significance_is_what_scipy_and_holm_say(tlda: Tlda, golden: Path) -> None:
    assert tlda("bench", "golden.yaml", "--render").code == 0
    # Two tasks are too few to speak of others: the three seeds count, each the mean over the tasks.
    gains = {method: 100 * (ACCURACY[i] - ACCURACY[0]).mean(0) for i, method in enumerate(TABLE["methods"]) if i in (1, 2)}
    p = {method: ttest_rel(gain, np.zeros(3)).pvalue for method, gain in gains.items()}
    first, second = sorted(p, key=p.__getitem__)
    holm = {first: min(1, 2 * p[first]), second: min(1, max(2 * p[first], p[second]))}
    around = {m: t_distribution.interval(0.95, 2, gain.mean(), gain.std(ddof=1) / 3**0.5) for m, gain in gains.items()}
    with (golden / "table.csv").open() as file:
        found = {row["method"]: (row["p"], row["low"], row["high"]) for row in csv.DictReader(file) if row["task"] == "gain"}
    assert {row[0]: row[6] for row in table_rows(golden)[1:]} == {
        "source only": "–",
        "top (oracle)": "–",
        **{method: f"{value:.3f}" if value >= 0.001 else "< 0.001" for method, value in holm.items()},
    }
    assert {row[0]: row[5] for row in table_rows(golden)[2:4]} == {m: f"{low:+.1f} to {high:+.1f}" for m, (low, high) in around.items()}
    expected = {m: tuple(f"{value:.6f}" for value in (holm[m], *around[m])) for m in ("a", "b")}
    assert found == expected | {"top": ("", "", "")}, "an oracle is not tested"
    assert "over the seeds of these tasks only" in (golden / "table.md").read_text()


def test_tasks_are_the_units_of_a_test_and_not_their_seeds() -> None:
    # By hand: gains of four tasks 1, 2, 3, 6 have the mean 3 and the deviation 2.1602: t = 3 / 1.0801 = 2.7775 with 3 degrees of freedom.
    gains = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 6.0}
    base = {task: Entry({0: 50.0, 1: 52.0, 2: 54.0}, 3) for task in gains}
    own = {task: Entry({s: 50.0 + 2 * s + gain + (s - 1) * 0.1 for s in range(3)}, 3) for task, gain in gains.items()}
    found = paired_test(own, base)
    assert found is not None
    assert found.p == pytest.approx(2 * t_distribution.sf(2.7775, 3), abs=1e-5)
    assert (found.low, found.high) == pytest.approx((3 - 3.18245 * 1.080123, 3 + 3.18245 * 1.080123), abs=1e-4)
    pairs = [own[task].values[s] - base[task].values[s] for task in gains for s in range(3)]
    assert ttest_rel(pairs, np.zeros(12)).pvalue < 0.001 < 0.05 < found.p, "to count seeds as units would call it significant"
    seeds = paired_test({"a": own["a"]}, {"a": base["a"]})
    assert seeds is not None
    assert seeds.p == pytest.approx(ttest_rel([0.9, 1.0, 1.1], np.zeros(3)).pvalue)
    assert paired_test({"a": Entry({0: 1.0, 1: 2.0}, 3)}, {"a": Entry({0: 1.5, 1: 2.0}, 3)}) is None


def test_what_is_below_the_baseline_is_marked_with_the_reason(tlda: Tlda, golden: Path) -> None:
    for name, seed in itertools.product(TASKS, TABLE["seeds"]):
        path = golden / f"b-{name}-{seed}.json"
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"metrics": result["metrics"] | {"test/target/accuracy": 0.0}}))
    notes = {"b": "It was made to fail.", "top": "It is above all."}
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | {"notes": notes}, sort_keys=False))
    assert tlda("bench", "golden.yaml", "--render").code == 0
    assert [row[0] for row in table_rows(golden)[1:] if "▼" in row[4]] == ["b"]
    page = (golden / "table.md").read_text()
    assert "▼: below source only. b: It was made to fail.\n" in page
    assert "\ntop: It is above all.\n" in page


def test_a_gain_is_over_the_row_of_the_same_protocol_or_is_refused(tlda: Tlda, golden: Path) -> None:
    wider = {"backbone": {"init_args": {"num_features": 7}}}
    methods = dict(TABLE["methods"]) | {
        "a": {"model": {"class_path": "SourceOnly", "init_args": wider}},
        "b": {"model": {"class_path": "DANN", "init_args": wider}},
        "top": {"model": {"class_path": "DANN", "init_args": {"backbone": {"init_args": {"num_features": 8}}}}},
    }
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | {"methods": methods}, sort_keys=False))
    for cell in load_table("golden.yaml").cells():
        path = golden / f"{cell.name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": cell.key, "sees": ["source"]}))
    assert tlda("bench", "golden.yaml", "--render").code == 0
    rows = {row[0].removesuffix(" †"): row for row in table_rows(golden)[1:]}
    assert rows["b"][4].strip("*").startswith(shown((ACCURACY[2] - ACCURACY[1]).mean(0)))
    assert rows["top"][4] == "–", "there is no row to compare with"
    text = (golden / "table.md").read_text()
    assert "† a; b: model.backbone.num_features 7, not " in text
    assert "† top: model.backbone.num_features 8, not " in text


def rekeyed(golden: Path, **changes: Any) -> None:
    """The golden table with ``changes``, and its results as if they were made so."""
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | changes, sort_keys=False))
    for cell in load_table("golden.yaml").cells():
        path = golden / f"{cell.name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": cell.key}))


def test_a_row_of_the_baseline_s_class_with_other_options_is_no_baseline(tlda: Tlda, golden: Path) -> None:
    def other(tuning: str) -> dict[str, Any]:
        options = {"tuning": {"class_path": tuning}, "backbone": {"init_args": {"num_features": 7}}}
        return {"model": {"class_path": "SourceOnly", "init_args": options}}

    rekeyed(golden, methods={**TABLE["methods"], "a": other("LinearProbe"), "b": other("FrozenBatchNorm")})
    assert tlda("bench", "golden.yaml", "--render").code == 0
    assert {row[0]: row[4] for row in table_rows(golden)[1:] if "†" in row[0]} == {"a †": "–", "b †": "–"}


def test_what_comes_after_an_oracle_is_one(tlda: Tlda, golden: Path) -> None:
    order = {name: TABLE["methods"][name] for name in ("base", "top", "a", "b")} | {"a": {"model": {"class_path": "CycleGAN"}}}
    rekeyed(golden, methods=order, after={"a": "top"}, translate={"b": "a"})
    assert tlda("bench", "golden.yaml", "--render").code == 0
    assert [row[0] for row in table_rows(golden)[1:]] == ["source only", "top (oracle)", "a (oracle)", "b (oracle)"]


@pytest.mark.slow
def test_a_protocol_that_differs_on_a_later_task_is_marked(tlda: Tlda, golden: Path) -> None:
    def wide(number: int) -> dict[str, Any]:
        return {"model": {"init_args": {"backbone": {"class_path": "LeNet", "init_args": {"num_features": number}}}}}

    declared = load_table("golden.yaml").tasks
    tasks = {task: merge(declared[task], wide(number)) for task, number in zip(TASKS, (5, 7), strict=True)}
    rekeyed(golden, tasks=tasks, methods=TABLE["methods"] | {"b": merge(TABLE["methods"]["b"], wide(5))})
    assert tlda("bench", "golden.yaml", "--render").code == 0
    assert "† b: model.backbone.num_features 5, not 7" in (golden / "table.md").read_text()


def test_gains_that_are_all_equal_have_no_p() -> None:
    def entries(values: tuple[float, ...]) -> dict[str, Entry]:
        return {"task": Entry(dict(enumerate(values)), 3)}

    assert paired_test(entries((0.40, 0.41, 0.42)), entries((0.30, 0.31, 0.32))) is None
    assert paired_test(entries((0.40, 0.41, 0.43)), entries((0.30, 0.31, 0.32))) is not None


def test_a_class_in_a_later_overlay_keeps_the_options_that_it_has_too() -> None:
    cosine = {"model": {"init_args": {"schedule": {"class_path": "Cosine", "init_args": {"warmup": 0.1, "floor": 0.2}}}}}
    other = {"model": {"init_args": {"schedule": {"class_path": "tlda.optim.InverseDecay", "init_args": {"alpha": 5.0}}}}}
    merged = merge(cosine, other)["model"]["init_args"]["schedule"]
    assert merged == {"class_path": "tlda.optim.InverseDecay", "init_args": {"alpha": 5.0}}
    assert merge(other, cosine)["model"]["init_args"]["schedule"] == cosine["model"]["init_args"]["schedule"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"after": ["a"]}, "'after' must be a mapping, and is ['a']"),
        ({"protocol": ["a"]}, "'protocol' must be a text"),
        ({"baseline": 3}, "'baseline' must be a text, and is 3"),
        ({"notes": {"bass": "It is the baseline."}}, "there is a note on 'bass', which is not one of its methods; did you mean 'base'"),
        ({"notes": {"base": None}}, "the label or note of 'base' must be a text, and is None; one with a comma needs quotes"),
        ({"labels": dict.fromkeys(TASKS, "same")}, "two tasks have the label 'same'"),
        ({"search": {"validator": "entropy"}}, "the search needs a 'space'"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(tlda: Tlda, changes: dict[str, Any], sentence: str) -> None:
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | changes, sort_keys=False))
    refused(tlda("bench", "golden.yaml", "--render"), sentence)


def test_what_is_left_blank_is_not_declared_and_names_may_be_numbers(tlda: Tlda) -> None:
    blank = dict.fromkeys(("title", "protocol", "after", "translate", "labels", "notes", "search", "plot"))
    tasks = dict(enumerate(TABLE["tasks"].values()))
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | blank | {"tasks": tasks, "metric": {0: "test/a", 1: "test/b"}}, sort_keys=False))
    table = load_table("golden.yaml")
    assert (table.title, table.after, list(table.tasks), table.shows("1")) == ("golden", {}, ["0", "1"], "test/b")


def test_a_result_of_other_settings_is_left_out_with_the_lines_that_differ(tlda: Tlda, golden: Path) -> None:
    path = golden / "a-handwritten_fonts-1.json"
    cell = next(cell for cell in load_table("golden.yaml").cells() if cell.name == "a-handwritten_fonts-1")
    config = merge(cell.resolved, {"model": {"init_args": {"bottleneck": 5}}})
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": "other", "config": config}))
    done = tlda("bench", "golden.yaml", "--render")
    assert done.code == 0
    assert "1 left out, measured under other settings (model.bottleneck 5, not 0): a-handwritten_fonts-1.json" in done.out


def test_the_other_formats_hold_the_same_numbers(tlda: Tlda, golden: Path) -> None:
    assert tlda("bench", "golden.yaml", "--render").code == 0
    tex, page = ((golden / f"table.{ending}").read_text() for ending in ("tex", "html"))
    numbers = [text.strip("*") for row in table_rows(golden)[1:] for text in row[1:4]]
    assert all(text.replace("±", r"$\pm$") in tex for text in numbers)
    assert r"f $\rightarrow$ h" in tex
    cells = [element.text for element in ElementTree.fromstring(page.partition("\n")[2]).iter() if element.tag in ("td", "b")]
    assert set(numbers) <= set(cells)


def test_the_csv_is_what_numpy_says(tlda: Tlda, golden: Path) -> None:
    assert tlda("bench", "golden.yaml", "--render").code == 0
    with (golden / "table.csv").open() as file:
        found = {(row["method"], row["task"]): row for row in csv.DictReader(file)}
    assert len(found) == 4 * 4 - 1  # the baseline has no gain over itself
    for i, method in enumerate(TABLE["methods"]):
        columns = {TASKS[0]: ACCURACY[i, 0], TASKS[1]: ACCURACY[i, 1], "average": ACCURACY[i].mean(0)}
        if i:
            columns["gain"] = (ACCURACY[i] - ACCURACY[0]).mean(0)
        for task, values in columns.items():
            row = found[method, task]
            assert float(row["mean"]) == pytest.approx(100 * values.mean(), abs=1e-4)
            assert float(row["std"]) == pytest.approx(100 * values.std(ddof=1), abs=1e-4)
            assert (row["seeds"], row["wanted"], row["oracle"]) == ("3", "3", str(method == "top"))


def test_what_is_missing_is_marked_and_averaged_over_what_is_whole(tlda: Tlda, golden: Path) -> None:
    (golden / "b-fonts_handwritten-1.json").unlink()
    (golden / "base-handwritten_fonts-2.json").unlink()
    assert tlda("bench", "golden.yaml", "--render").code == 0
    base, a, b, _ = table_rows(golden)[1:]
    assert b[1] == f"{shown(ACCURACY[2, 0, [0, 2]])} (2/3)"
    assert b[2].strip("*") == shown(ACCURACY[2, 1])
    assert b[3] == f"{shown(ACCURACY[2][:, [0, 2]].mean(0))} (2/3)"
    assert base[3] == f"{shown(ACCURACY[0][:, [0, 1]].mean(0))} (2/3)"
    # Paired: only seeds that both have on every task.
    assert a[4].startswith(f"{shown((ACCURACY[1] - ACCURACY[0])[:, [0, 1]].mean(0))} (2/3)")
    assert b[4] == f"{100 * (ACCURACY[2] - ACCURACY[0])[:, 0].mean():.1f} (1/3)"


def test_an_unfinished_best_is_not_bold(tlda: Tlda, golden: Path) -> None:
    best = list(TABLE["methods"])[int(ACCURACY[:3, 0].mean(1).argmax())]
    (golden / f"{best}-fonts_handwritten-1.json").unlink()
    assert tlda("bench", "golden.yaml", "--render").code == 0
    bold = [row[0] for row in table_rows(golden)[1:] if "**" in row[1]]
    assert len(bold) == 1
    assert bold[0] not in (best, "top (oracle)")


def test_what_is_selected_by_stands_first(tlda: Tlda, golden: Path) -> None:
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | {"select_by": "test/target/information_maximization"}, sort_keys=False))
    assert tlda("bench", "golden.yaml", "--render").code == 0
    head, *rows = table_rows(golden)
    assert head[1] == "test/target/information_maximization"
    assert [row[1].strip("*") for row in rows] == [f"{method + 1:.3f} ± 1.000" for method in range(4)]


def test_a_measure_that_there_is_not_is_named(tlda: Tlda, golden: Path) -> None:
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | {"select_by": "test/target/information"}, sort_keys=False))
    done = tlda("bench", "golden.yaml", "--render")
    refused(done, "'test/target/information'", "did you mean 'test/target/information_maximization'?")


def test_results_of_different_data_are_refused(tlda: Tlda, golden: Path) -> None:
    path = golden / "a-handwritten_fonts-1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": "other"}))
    done = tlda("bench", "golden.yaml", "--render")
    refused(done, "'handwritten_fonts' were measured on different data", "a-handwritten_fonts-1", "delete")


def test_published_numbers_stand_below_with_their_source(tlda: Tlda, golden: Path) -> None:
    numbers = [{"method": "a", "task": TASKS[0], "value": "61.5", "source": "Someone, 2020"}]
    Path("published.yaml").write_text(yaml.safe_dump({"numbers": numbers, "protocol_differs": "Other sizes."}))
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | {"published": "published.yaml"}, sort_keys=False))
    assert tlda("bench", "golden.yaml", "--render").code == 0
    assert table_rows(golden)[-1] == ["a", "61.5", "–", "Someone, 2020"]
    assert "Other sizes." in (golden / "table.md").read_text()


@pytest.mark.slow
def test_a_plot_shows_the_means_over_its_option(tlda: Tlda, golden: Path) -> None:
    tasks = {
        f"{target}_{shots}": {"data": {"class_path": "Folders", "init_args": {"target": target, "shots": shots}}}
        for target in ("a", "b")
        for shots in (5, 1)
    }
    declared = TABLE | {"tasks": tasks, "labels": {task: task.replace("_", ", ") for task in tasks}}
    declared["plot"] = {"option": "data.init_args.shots", "label": "shots"}
    Path("plotted.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
    table = load_table("plotted.yaml")
    results: dict[tuple[str, str, int], dict[str, Any]] = {
        (method, task, seed): {"metrics": {"test/target/accuracy": 0.1 * i + 0.02 * seed}, "sees": [], "data": task}
        for i, (method, task) in enumerate((m, t) for m in table.methods for t in tasks)
        for seed in (0, 1, 2)
    }
    panels = figure(table, results).axes
    assert [panel.get_title() for panel in panels] == ["a", "b"]
    for panel, target in zip(panels, "ab", strict=True):
        assert len(panel.containers) == len(table.methods)
        for method, drawn in zip(table.methods, panel.containers, strict=True):
            line, _, (bars,) = drawn
            found = [[results[method, f"{target}_{n}", s]["metrics"] for s in range(3)] for n in (1, 5)]
            means = [100 * np.mean([metrics["test/target/accuracy"] for metrics in runs]) for runs in found]
            assert np.allclose(line.get_ydata(), means)
            assert np.allclose(np.array(line.get_xdata(), float).round(), (1, 5))
            assert np.allclose([np.ptp(bar[:, 1]) for bar in bars.get_segments()], 2 * 2.0), "one standard deviation each way"
    assert plot(table, results) == plot(table, results)
    ElementTree.fromstring(plot(table, results))

    Path("plotted.yaml").write_text(
        yaml.safe_dump(declared | {"plot": {"option": "data.init_args.target", "label": "target"}}, sort_keys=False)
    )
    with pytest.raises(UserError, match=r"over data\.init_args\.target, which is no number in the task 'a_5': a"):
        plot(load_table("plotted.yaml"), results)
    refused(tlda("bench", "plotted.yaml"), "which is no number in the task 'a_5'")
    assert not Path("results/plotted").exists(), "refused before anything is trained"


def test_each_group_of_tasks_is_a_panel_and_no_task_hides_another(tlda: Tlda) -> None:
    def task(target: str, shots: int) -> dict[str, Any]:
        return {"data": {"class_path": "Digits", "init_args": {"source": "fonts", "target": target, "shots": shots}}}

    tasks = {f"{target}_{n}": task(target, n) for target in ("handwritten", "usps") for n in (1, 3)}
    option = {"option": "data.init_args.shots", "label": "shots"}
    Path("plotted.yaml").write_text(yaml.safe_dump(TABLE | {"tasks": tasks, "plot": option, "labels": {}}, sort_keys=False))
    drawn = [list(found.values()) for _, found in groups(load_table("plotted.yaml"))]
    assert drawn == [["handwritten_1", "handwritten_3"], ["usps_1", "usps_3"]]
    Path("plotted.yaml").write_text(
        yaml.safe_dump(TABLE | {"labels": {}, "tasks": tasks | {"twin": task("usps", 3)}, "plot": option}, sort_keys=False)
    )
    with pytest.raises(UserError, match="by which the tasks 'usps_3' and 'twin' do not differ"):
        groups(load_table("plotted.yaml"))


def test_a_document_is_filled_at_its_mark_and_nowhere_else(tmp_path: Path) -> None:
    from tlda.bench.render import fill

    document = tmp_path / "README.md"
    document.write_text("before\n<!-- table other -->\n<!-- end -->\n<!-- table mine -->\nold\n<!-- end -->\nafter\n")
    fill(document, "mine", "# Title\n\nnew\n")
    filled = "before\n<!-- table other -->\n<!-- end -->\n<!-- table mine -->\nnew\n<!-- end -->\nafter\n"
    assert document.read_text() == filled
    fill(document, "mine", "# Title\n\nnew\n")
    assert document.read_text() == filled
    with pytest.raises(UserError, match="<!-- table absent -->"):
        fill(document, "absent", "# Title\n\nnew\n")


def test_a_part_that_one_row_lacks_is_named_alone() -> None:
    base = {"data.tasks.words": "Tagging", "data.batch_size": 16}
    more = {**base, "data.tasks.names": "Tagging", "data.tasks.names.source": "politics", "data.tasks.names_too": 1}
    assert differing(more, base) == "data.tasks.names Tagging, not off; data.tasks.names_too 1, not off"
    assert differing(base, more) == "data.tasks.names off, not Tagging; data.tasks.names_too off, not 1"
    assert differing({"a": "SGD", "a.momentum": 0.9}, {"a": "Adam"}) == "a SGD, not Adam; a.momentum 0.9, not off"


def test_the_rate_of_the_losses_is_the_method_s_and_that_of_the_head_the_benchmark_s() -> None:
    options = {"lr_multipliers": {"losses": 0.1, "head": 2.0}, "trade_off": 0.1}
    config = {"model": {"class_path": "DANN", "init_args": options}, "data": {"class_path": "Digits", "init_args": {}}, "trainer": {}}
    assert [name for name in protocol(config) if name.startswith("model")] == ["model.lr_multipliers.head"]
