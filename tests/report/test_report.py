"""The report's numbers against independent computations, its decision on synthetic cases, and the page that shows them."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from scipy.optimize import minimize
from scipy.stats import binomtest, norm
from sklearn.metrics import accuracy_score, recall_score
from torch import nn

from tests.bench.test_table import ACCURACY, TABLE, TASKS, golden  # noqa: F401
from tests.commands.test_bad_input import refused
from tests.conftest import EXPERIMENTS, REPO, TASK, TINY, Tlda
from tests.helpers.folders import FOLDERS, write_folders
from tests.helpers.wandb_file import history
from tests.training.test_tracking import needs_wandb, no_mode, offline, read  # noqa: F401
from tlda.backbones import LeNet
from tlda.bench.table import load_table
from tlda.cli import main
from tlda.config import build
from tlda.documents import svg
from tlda.methods import SourceOnly
from tlda.metrics.distances import proxy_a_distance
from tlda.metrics.label_shift import label_shift
from tlda.report.attribution import grad_cam
from tlda.report.decision import Compared, Evidence, Move, Oracle, should_adapt, should_adapt_by_table, vanished
from tlda.report.sections import calibration_error, interesting, most_moved
from tlda.report.seen import Seen, load_run

LIMIT = 3 * 2**20
"""The bytes of a page at most."""

# The decision


def moves(entropy: float = 0.0, im: float = 0.0, bnm: float = 0.0, mixval: float = 0.0, certain: bool = False) -> tuple[Move, ...]:
    """Measures that start at a half and move; those of certainty do not count where the method is ``certain``."""
    return (
        Move("Entropy", 0.5, 0.5 + entropy, False, 2.3, not certain),
        Move("IM", 0.5, 0.5 + im, True, 2.3, not certain),
        Move("BNM", 0.5, 0.5 + bnm, True, 1.0, not certain),
        Move("MixVal", 0.5, 0.5 + mixval, True, 1.0),
    )


EQUAL = [0.25] * 4


def evidence(found: tuple[Move, ...], source: float = 0.9, shares: list[float] = EQUAL, oracle: Oracle | None = None) -> Evidence:
    return Evidence((0.9, source), found, 0.3, (EQUAL, shares), "abcd", oracle)


BETTER, WORSE = moves(-0.2, 0.2, 0.2, 0.05), moves(0.2, -0.2, -0.2, -0.05)
CASES = {
    "helps": (evidence(BETTER), "yes", 0),
    "helps without MixVal": (evidence(moves(-0.2, 0.2, 0.2, 0.005)), "yes", 0),
    "harms": (evidence(WORSE), "no", 1),
    "harms the source and one measure": (evidence(moves(mixval=-0.1), source=0.8), "no", 1),
    "collapse": (evidence(BETTER, shares=[0.5, 0.25, 0.24, 0.01]), "no", 1),
    "nothing moved": (evidence(moves(0.01, 0.01, 0.005, 0.005)), "cannot tell", 0),
    "measures disagree": (evidence(moves(-0.2, 0.2, 0.2, -0.1)), "cannot tell", 0),
    "one measure": (evidence(moves(mixval=0.1)), "cannot tell", 0),
    "the source fell": (evidence(BETTER, source=0.8), "cannot tell", 0),
    "the method trains on certainty": (evidence(moves(-0.2, 0.2, 0.2, 0.05, certain=True)), "cannot tell", 0),
    "measures without a number": (evidence(moves(math.nan, math.nan, math.nan, math.nan)), "cannot tell", 0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_answer_of_a_run(case: str) -> None:
    found, answer, alarms = CASES[case]
    verdict = should_adapt(found)
    assert (verdict.answer, len(verdict.alarms)) == (answer, alarms), verdict
    assert "no labels" in verdict.oracle


def test_a_collapse_names_the_classes_that_vanished() -> None:
    verdict = should_adapt(evidence(BETTER, shares=[0.97, 0.02, 0.0, 0.01]))
    assert "“b”, “c” and “d”" in verdict.alarms[0]
    assert vanished([0.05, 0.95], [0.0, 1.0]) == [], "a class that was rare is not missed"


def test_the_target_labels_confirm_or_contradict_and_change_no_answer() -> None:
    helps, harms, even = Oracle(100, 50, 70, 25, 5), Oracle(100, 70, 50, 5, 25), Oracle(100, 50, 51, 5, 4)
    assert "confirm this" in should_adapt(evidence(BETTER, oracle=helps)).oracle
    wrong = should_adapt(evidence(BETTER, oracle=harms))
    assert wrong.answer == "yes"
    assert "CONTRADICT" in wrong.oracle
    assert "70.0 → 50.0 %" in wrong.oracle
    assert "Negative transfer (oracle)" in wrong.alarms[0]
    assert "confirm this" in should_adapt(evidence(WORSE, oracle=harms)).oracle
    assert "CONTRADICT" in should_adapt(evidence(WORSE, oracle=helps)).oracle
    assert "do not settle it" in should_adapt(evidence(BETTER, oracle=even)).oracle
    assert "settle it: it helps" in should_adapt(evidence(moves(), oracle=helps)).oracle


def test_mcnemar_is_the_exact_one() -> None:
    # 2 (C(9,0) + C(9,1) + C(9,2)) / 2^9: the chance of at most 2 or at least 7 heads among nine
    assert Oracle(100, 50, 55, 7, 2).p == pytest.approx(2 * (1 + 9 + 36) / 2**9)
    assert Oracle(100, 50, 50, 0, 0).p == 1.0


def test_the_answer_of_a_table() -> None:
    gains, loses, even, unknown = Compared("A", 5.0, 0.01), Compared("B", -3.0, 0.02), Compared("C", 5.0, 0.2), Compared("D", None, None)
    answers = [should_adapt_by_table(row, "IM", "base", [gains, loses]).answer for row in (gains, loses, even, unknown, None)]
    assert answers == ["yes", "no", "cannot tell", "cannot tell", "no"]
    verdict = should_adapt_by_table(gains, "IM", "base", [gains, loses, unknown])
    assert verdict.alarms == ("Negative transfer: B is 3.0 points below base (p = 0.020).",)
    assert "In hindsight A gains most over base: +5.0 points (p = 0.010)" in verdict.oracle
    elsewhere = [Compared("E", 30.0, 0.01, "base, BatchNorm"), Compared("F", -4.0, 0.01, "base, BatchNorm")]
    verdict = should_adapt_by_table(gains, "IM", "base", [gains, *elsewhere])
    assert "In hindsight A gains most over base: +5.0" in verdict.oracle, "a gain over another baseline does not compete"
    assert verdict.alarms == ("Negative transfer: F is 4.0 points below base, BatchNorm (p = 0.010).",)


# Distances and shares


def test_the_a_distance_of_gaussians_is_what_their_bayes_error_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randn(2000, 2, generator=generator) for _ in range(2))
    assert proxy_a_distance(source, target) < 0.1
    for shift in (1.0, 2.0):
        moved = target + torch.tensor([shift, 0.0])
        assert proxy_a_distance(source, moved) == pytest.approx(2 * (1 - 2 * norm.cdf(-shift / 2)), abs=0.08)
    assert proxy_a_distance(source, target + 100) == 2.0


def test_the_a_distance_is_that_of_a_logistic_regression_by_hand() -> None:
    generator = torch.Generator().manual_seed(1)
    source, target = torch.randn(61, 3, generator=generator), 0.6 + torch.randn(40, 3, generator=generator)
    order = [torch.randperm(len(f), generator=torch.Generator().manual_seed(0))[:40].numpy() for f in (source, target)]
    rows = [f.numpy()[o] for f, o in zip((source, target), order, strict=True)]
    halves = [np.concatenate([domain[part] for domain in rows]) for part in (slice(20), slice(20, 40))]
    domains = np.repeat([0, 1], 20)

    def errors(train: Any, test: Any) -> Any:
        def loss(w: Any) -> Any:
            signs = (2 * domains - 1) * (((train - train.mean(0)) / train.std(0)) @ w[1:] + w[0])
            return np.logaddexp(0, -signs).sum() + 0.5 * w[1:] @ w[1:]

        w = minimize(loss, np.zeros(4), tol=1e-10).x
        return (((test - train.mean(0)) / train.std(0)) @ w[1:] + w[0] > 0) != domains

    error = np.concatenate([errors(*halves), errors(*halves[::-1])]).mean()
    assert 0 < error < 0.5
    assert proxy_a_distance(source, target) == pytest.approx(2 * (1 - 2 * error))


def test_the_class_shares_of_a_shifted_target_are_found() -> None:
    rng = np.random.default_rng(0)
    confusion = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])  # a row is what a class is predicted as
    shares = {"source": [0.2, 0.3, 0.5], "target": [0.6, 0.3, 0.1]}
    labels = {domain: rng.choice(3, 20_000, p=p) for domain, p in shares.items()}
    predicted = {domain: (rng.random((len(y), 1)) > confusion[y].cumsum(1)).sum(1) for domain, y in labels.items()}
    found = label_shift(*(torch.tensor(a) for a in (labels["source"], predicted["source"], predicted["target"])), num_classes=3)  # type: ignore[arg-type, misc]
    assert np.bincount(predicted["target"]) / 20_000 != pytest.approx(shares["target"], abs=0.05), "predictions alone do not give them"
    assert found.shares.tolist() == pytest.approx(shares["target"], abs=0.02)
    joint = np.zeros((3, 3))
    np.add.at(joint, (predicted["source"], labels["source"]), 1 / 20_000)
    weights = np.linalg.inv(joint) @ (np.bincount(predicted["target"]) / 20_000)
    assert found.shares.tolist() == pytest.approx(weights * joint.sum(0), abs=1e-6)
    assert found.condition == pytest.approx(np.linalg.cond(joint))


def test_a_class_that_is_never_predicted_makes_the_estimate_singular_and_keeps_it_finite() -> None:
    labels = torch.tensor([0, 1, 2] * 10)
    found = label_shift(labels, labels.clamp_max(1), torch.tensor([0, 0, 1]), 3)
    assert found.condition > 1e6
    assert found.shares.sum() == pytest.approx(1.0)


# Attribution


def test_grad_cam_is_its_equation() -> None:
    torch.manual_seed(0)
    method = SourceOnly(backbone=LeNet(size=16), task=3).eval()
    first, *others = method.backbone.layers  # type: ignore[misc]
    x, classes = torch.rand(2, 1, 16, 16), torch.tensor([2, 0])
    maps = first((x - 0.5) / 0.5).detach().requires_grad_()
    logits = method.head(nn.Sequential(*others)(maps))
    gradient = torch.autograd.grad(logits[0, 2] + logits[1, 0], maps)[0]
    heat = torch.einsum("nk,nkhw->nhw", gradient.mean((2, 3)), maps).clamp_min(0)
    heat = heat / heat.flatten(1).max(1).values[:, None, None]
    found = grad_cam(method, x, classes)
    assert found.layer == "layers.0", "the second convolution has maps of 2 x 2"
    expected = nn.functional.interpolate(heat[:, None], (16, 16), mode="bilinear")[:, 0]
    torch.testing.assert_close(found.heat, expected.detach())
    assert not any(layer._forward_hooks for layer in method.modules()), "no hook is left"


def test_a_wide_map_is_read_from_the_last_convolution() -> None:
    method = SourceOnly(backbone=LeNet(size=28), task=3).eval()
    assert grad_cam(method, torch.rand(1, 1, 28, 28), torch.tensor([1])).layer == "layers.3"


def test_the_images_shown_are_those_whose_prediction_changed_first() -> None:
    before, after = torch.zeros(30, dtype=torch.long), torch.zeros(30, dtype=torch.long)
    after[[3, 7, 11]] = 1
    rows = interesting([before, after]).tolist()
    assert set(rows[:3]) == {3, 7, 11}
    assert len(set(rows)) == 8
    assert len(interesting([before, before + 1])) == 6


# Charts


def test_charts_of_many_classes_are_cut_to_those_that_moved_most_and_stay_small() -> None:
    before = torch.zeros(345)
    after = before.clone()
    after[torch.arange(100, 140)] = 1.0
    assert most_moved(before, after) == list(range(100, 140))
    assert most_moved(before[:3], after[:3]) == [0, 1, 2]
    matrix = svg.heat("many", torch.eye(345), [f"class {c}" for c in range(345)])
    assert len(matrix) < 50_000


def test_a_long_curve_is_averaged_and_a_short_one_is_not() -> None:
    points = [(float(i), float(i % 2)) for i in range(1000)]
    assert svg.smooth(points[:10]) == points[:10]
    short = svg.smooth(points, 100)
    assert len(short) == 100
    assert {y for _, y in short} == {0.5}
    assert short[-1][0] == 999.0


def test_curves_leave_out_what_is_not_finite_and_survive_a_constant() -> None:
    drawn = ElementTree.fromstring(svg.curves("flat", [svg.Series("a", "red", [(1, 2.0), (2, math.nan), (3, 2.0)])], "epoch"))
    (line,) = drawn.iter("polyline")
    assert len(line.attrib["points"].split()) == 2


# The page of a run


@pytest.fixture(scope="module")
def before(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the source alone, on the task of ``trained``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLDA_CACHE", str(cache))
        patch.setenv("TLDA_RUN", "")
        patch.setattr("tlda.report.pictures.ROWS", 20)
        root = tmp_path_factory.mktemp("before")
        method = ["-c", str(EXPERIMENTS / "method" / "source_only.yaml")]
        assert main(["fit", *TASK, *method, *TINY, f"--trainer.default_root_dir={root}", "--data.steps=20"]) == 0
    (folder,) = (root / "fonts_to_handwritten" / "SourceOnly").iterdir()
    return folder


@pytest.fixture(scope="module")
def page(trained: Path, before: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on ``trained``, beside ``before``."""
    path = tmp_path_factory.mktemp("report") / "page.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLDA_CACHE", str(cache))
        patch.setattr("tlda.report.pictures.ROWS", 20)
        assert main(["report", str(trained), "--before", str(before), "--out", str(path)]) == 0
    return path.read_text(encoding="utf-8")


def require_whole(text: str) -> ElementTree.Element:
    """Check that a page is well-formed, needs nothing but itself, is small, and says of each figure what to see."""
    root = ElementTree.fromstring(text.removeprefix("<!doctype html>\n"))
    assert len(text.encode()) < LIMIT
    for tag in root.iter():
        assert tag.tag not in ("script", "link", "iframe")
        for name, value in tag.attrib.items():
            assert name not in ("src", "href") or value.startswith(("data:image/png;base64,", "#")), value[:80]
    assert not re.search(r"https?://|@import|url\(", text)
    figures = [*root.iter("figure")]
    assert figures
    for figure in figures:
        assert len("".join(figure.find("figcaption").itertext())) > 60  # type: ignore[union-attr]
        assert figure.find("div[@class='legend']") is None or list(figure.iter("i"))
    assert "color-scheme: light dark" in text
    assert "width=device-width" in text
    return root


def words(root: ElementTree.Element) -> str:
    return " ".join(" ".join(root.itertext()).split())


@pytest.fixture(scope="module")
def answers(trained: Path, before: Path) -> dict[str, Any]:
    """What either network says of all target rows, asked without the report; the labels; and the last row of its curves."""
    from sklearn.datasets import load_digits

    from tlda.data import Digits

    images = Digits("fonts", "handwritten", size=16).loaded[1].train.images.float() / 255  # type: ignore[attr-defined]
    found: dict[str, Any] = {"labels": load_digits().target}
    for name, folder in (("before", before), ("after", trained)):
        with torch.no_grad():
            found[name] = build.load(folder / "checkpoints" / "last.ckpt")(images).logits.softmax(1).numpy()
    return found


@pytest.mark.slow
def test_the_page_of_a_run_is_whole(page: str) -> None:
    root = require_whole(page)
    assert [h.text for h in root.iter("h2")] == [
        *("Evidence without labels", "Training", "Classes (oracle)", "Features"),
        *("Calibration", "Class shares of the target", "Attribution"),
    ]
    assert "Should I adapt?" in words(root)
    assert "not trained alike, so that more than the method differs: data.steps 2, not 20 before." in words(root)
    assert len([*root.iter("img")]) % 3 == 0, "an image, and its heat before and after"


@pytest.mark.slow
def test_the_numbers_of_the_page_are_those_of_the_networks(page: str, answers: dict[str, Any]) -> None:
    text, labels = words(ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))), answers["labels"]
    predicted = [answers[name].argmax(1) for name in ("before", "after")]
    accuracy = [100 * accuracy_score(labels, p) for p in predicted]
    assert f"{accuracy[0]:.1f} % → {accuracy[1]:.1f} % target accuracy (oracle)" in text
    right = [p == labels for p in predicted]
    mended, broken = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    p = binomtest(mended, mended + broken).pvalue
    assert f"{mended:,} predictions mended and {broken:,} broken (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'}, McNemar)" in text
    assert f"{100 * (predicted[0] != predicted[1]).mean():.1f} % target predictions that changed" in text
    errors = [numpy_calibration_error(answers[name], labels) for name in ("before", "after")]
    assert f"{errors[0]:.3f} → {errors[1]:.3f} target calibration error (oracle)" in text
    for name, p in zip(("before: SourceOnly", "after: DANN"), predicted, strict=True):
        for c, recall in enumerate(recall_score(labels, p, average=None, zero_division=0)):
            assert f"{c}, {name}: {100 * recall:.1f} %" in text


def numpy_calibration_error(probabilities: Any, labels: Any, bins: int = 15) -> float:
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    place = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    rows = [place == b for b in range(bins)]
    return float(sum(r.mean() * abs(confidence[r].mean() - right[r].mean()) for r in rows if r.any()))


@pytest.mark.slow
def test_both_runs_are_measured_on_the_rows_that_the_one_of_the_report_held_out(tlda: Tlda) -> None:
    folders = []
    for method in ("source_only", "oracle"):
        assert tlda("fit", *TASK, "-c", EXPERIMENTS / "method" / f"{method}.yaml", *TINY).code == 0
        folders.append(next(path.parent for path in Path().rglob("config.yaml") if method.replace("_", "") in str(path).lower()))
    before, after = map(load_run, folders)
    looks = [run.look(after.data, after.method.batch_type).target for run in (before, after)]
    assert len(looks[0].labels) == len(looks[1].labels) < len(after.data.loaded[1].train) / 2


def test_the_calibration_error_is_what_numpy_says() -> None:
    rng = np.random.default_rng(0)
    logits, labels = torch.tensor(rng.normal(0, 2, (300, 4))), torch.tensor(rng.integers(0, 4, 300))
    expected = numpy_calibration_error(logits.softmax(1).numpy(), labels.numpy())
    assert calibration_error(Seen(logits, logits, labels)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_the_measures_after_are_those_that_the_run_logged(page: str, trained: Path) -> None:
    run, text = load_run(trained), words(ElementTree.fromstring(page.removeprefix("<!doctype html>\n")))
    ends = {name: points[-1][1] for name, points in run.curves.items()}
    for name, label in (("entropy", "Entropy (lower"), ("bnm", "BNM (higher"), ("mixval", "MixVal (higher")):
        value = re.search(re.escape(label) + r" is better\) [\d.]+ ([\d.]+) (better|worse|no move)", text)
        assert value
        assert float(value[1]) == pytest.approx(ends[f"val/target/{name}"], abs=6e-4)
    for name, label in (("val/source/accuracy", "source accuracy, held out"), ("oracle/target/accuracy", "target accuracy (oracle)")):
        tile = re.search(r"→ ([\d.]+) % " + re.escape(label), text)
        assert tile
        assert float(tile[1]) == pytest.approx(100 * ends[name], abs=0.051)


@pytest.mark.slow
def test_without_a_run_before_the_page_says_how_to_make_one(tlda: Tlda, trained: Path) -> None:
    done = tlda("report", trained)
    assert done.code == 0, done.err
    assert "should I adapt? cannot tell: there is nothing to compare with" in done.out
    text = words(require_whole(Path("report.html").read_text(encoding="utf-8")))
    (command,) = re.findall(r"Make it with `tlda (fit [^`]+)`", text)
    made = tlda(*command.split(), "--print_config")
    assert made.code == 0, made.err
    config = yaml.safe_load(made.out)
    assert (config["model"]["class_path"], config["model"]["init_args"]["plus"]) == ("tlda.methods.SourceOnly", None)
    assert config["data"] == yaml.safe_load((trained / "config.yaml").read_text())["data"]


@pytest.mark.slow
def test_a_target_without_labels_has_evidence_and_no_accuracy(tlda: Tlda) -> None:
    root = write_folders(Path("photos"), "ab", ".", count=12)
    for method in ("DANN", "SourceOnly"):
        assert tlda("fit", *FOLDERS, *TINY, "--data.root", root, "--model", method).code == 0
    after, source_only = (next(Path("runs").glob(f"*/{method}/*")) for method in ("DANN", "SourceOnly"))
    done = tlda("report", after, "--before", source_only)
    assert done.code == 0, done.err
    text = words(require_whole(Path("report.html").read_text(encoding="utf-8")))
    assert "The target has no labels, so nothing can confirm this." in text
    for word in ("(oracle)", "target accuracy", "McNemar"):
        assert word not in text.replace("target accuracy (oracle) ends", "")
    assert "How often each class is predicted" in text


# What is refused


@pytest.mark.slow
def test_what_is_no_run_and_no_table_is_refused(tlda: Tlda, trained: Path, before: Path) -> None:
    Path("empty").mkdir()
    refused(tlda("report", "empty"), "empty is neither a run nor a table", "RUN/checkpoints")
    refused(tlda("report", "nowhere"), "nowhere is neither a run nor a table")
    refused(tlda("report"), "RUN_OR_TABLE", "tlda report --help")
    refused(tlda("report", EXPERIMENTS / "base" / "embedded.yaml"), "embedded.yaml is neither a run nor a table")
    refused(tlda("report", REPO / "benchmarks/tables/quickstart.yaml", "--before", before), "--before is for a run")
    refused(tlda("report", trained, "--results", "there"), "--results is for a table")
    refused(tlda("report", REPO / "benchmarks/tables/quickstart.yaml", "--results", "empty"), "no cell of", "is finished")
    (Path("half") / "checkpoints").mkdir(parents=True)
    refused(tlda("report", "half"), "half has no checkpoints/last.ckpt", "tlda fit")
    refused(tlda("report", trained, "--before", "nowhere"), "nowhere has no checkpoints/last.ckpt")
    assert not Path("report.html").exists()


@pytest.mark.slow
def test_a_run_of_another_task_is_no_before(tlda: Tlda, trained: Path) -> None:
    swapped = ["--data.source=handwritten", "--data.target=fonts"]
    narrowed = ["--data.classes=[0,1,2]"]
    for options in (swapped, narrowed):
        assert tlda("fit", *TASK, *TINY, *options).code == 0
    other = next(Path("runs").glob("handwritten_to_fonts/*/*"))
    refused(tlda("report", trained, "--before", other), "of the task handwritten_to_fonts", "fonts_to_handwritten")
    other = next(Path("runs").glob("fonts_to_handwritten/*/*"))
    refused(tlda("report", trained, "--before", other), "trained on other data")


# The page of a table


@pytest.fixture
def table(golden: Path) -> Path:  # noqa: F811
    """The golden table, whose runs have confusions and histories, and in which "a" is best by MixVal."""
    rng = np.random.default_rng(2)
    for cell in load_table("golden.yaml").cells():
        path = golden / f"{cell.name}.json"
        result = json.loads(path.read_text())
        mixval = {"base": 0.5, "a": 0.9, "b": 0.6, "top": 0.99}[cell.method]
        epochs = [{"oracle/target/accuracy": float(rng.uniform()), "val/target/mixval": mixval - 0.1 * left} for left in (2, 1, 0)]
        result |= {"confusion": rng.integers(1, 50, (10, 10)).tolist(), "history": epochs}
        if cell.task == TASKS[0]:
            result["stream"] = [0.5, 0.1234 if cell.method == "a" else 0.5]
        path.write_text(json.dumps(result))
    return golden


def result_of(folder: Path, method: str, task: str, seed: int) -> Any:
    return json.loads((folder / f"{method}-{task}-{seed}.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("subject", ["golden.yaml", "results/golden"])
def test_the_page_of_a_table_is_what_its_results_give(tlda: Tlda, table: Path, subject: str) -> None:
    done = tlda("report", subject, "--out", "page.html")
    assert done.code == 0, done.err
    text = words(require_whole(Path("page.html").read_text(encoding="utf-8")))
    gain = 100 * (ACCURACY[1] - ACCURACY[0]).mean()
    assert f"MixVal on the target, which sees no target label, recommends a, whose gain over source only is {gain:+.1f} points" in text
    assert set(re.findall(r"recommends (\w+)", text)) == {"a"}, "an oracle is never recommended"
    for task in TASKS:
        for method, label in (("base", "before: source only"), ("a", "after: a")):
            counts = np.sum([result_of(table, method, task, seed)["confusion"] for seed in TABLE["seeds"]], 0)
            for c in range(10):
                assert f"{c}, {label}: {100 * counts[c, c] / counts[c].sum():.1f} %" in text
        ends = [result_of(table, "a", task, seed)["history"][-1]["oracle/target/accuracy"] for seed in TABLE["seeds"]]
        assert f"a: {np.mean(ends):.4g}" in text
    assert text.count("% of the stream") == 1, "of the task that is one"
    assert "a: 12.34" in text


@pytest.mark.slow
def test_without_histories_the_rule_is_information_maximisation_of_what_does_not_train_on_certainty(tlda: Tlda, golden: Path) -> None:  # noqa: F811
    methods = TABLE["methods"] | {"b": {"model": {"class_path": "DANN", "init_args": {"plus": ["MCC"]}}}}
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE | {"methods": methods}, sort_keys=False))
    for cell in load_table("golden.yaml").cells():
        path = golden / f"{cell.name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": cell.key}))
    assert tlda("report", "golden.yaml").code == 0
    text = words(require_whole_without_figures(Path("report.html")))
    assert "information maximisation on the target, which sees no target label, recommends a," in text, "b is higher, and trains on it"
    assert "There are no confusion matrices to compare yet." in text
    settings = TABLE | {"methods": methods, "select_by": "test/target/information_maximization"}
    Path("golden.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert "cannot tell: this table compares settings" in tlda("report", "golden.yaml").out


def require_whole_without_figures(path: Path) -> ElementTree.Element:
    root = ElementTree.fromstring(path.read_text(encoding="utf-8").removeprefix("<!doctype html>\n"))
    assert not list(root.iter("figure"))
    return root


def test_a_table_without_a_result_is_refused(tlda: Tlda) -> None:
    Path("golden.yaml").write_text(yaml.safe_dump(TABLE, sort_keys=False))
    refused(tlda("report", "golden.yaml"), "no cell of golden.yaml is finished", "tlda bench golden.yaml")


# W&B


@pytest.mark.slow
@needs_wandb
@pytest.mark.usefixtures("offline")
def test_the_page_is_logged_to_the_run_where_that_was(tlda: Tlda) -> None:
    assert tlda("fit", *TASK, *TINY).code == 0
    run = Path("runs/latest").resolve()
    (logged,) = run.glob("wandb/offline-run-*")
    done = tlda("report", run)
    assert done.code == 0, done.err
    (again,) = set(run.glob("wandb/offline-run-*")) - {logged}
    assert again.name.rsplit("-", 1)[1] == logged.name.rsplit("-", 1)[1], "the same run of W&B"
    values = history(read(again))
    assert values["report/_type"] == ["html-file"]
    (kept,) = again.rglob("*.html")
    assert kept.read_text(encoding="utf-8") == Path("report.html").read_text(encoding="utf-8")


def test_the_command_is_named_in_the_help(tlda: Tlda) -> None:
    assert "report" in tlda("--help").out
    done = tlda("report", "--help")
    assert done.code == 0
    assert "--before" in done.out
