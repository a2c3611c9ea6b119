"""`tlda rank` on tiny images: a network with a classifier, pixels, and rows of another data set."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.conftest import REPO, Tlda
from tlda.bench.table import merge
from tlda.documents.grid import Grid, markdown
from tlda.errors import UserError
from tlda.rank import stored
from tlda.rank import tables as render
from tlda.rank.declared import load_ranking
from tlda.rank.score import make_data, probe

NET = {"class_path": "Timm", "init_args": {"name": "test_resnet", "weights": "net.pth"}}
SHOTS, CLASSES, COUNT = 3, ("dark", "light", "red"), 12


@pytest.fixture
def declared(tlda: Tlda) -> dict[str, Any]:
    """Images whose classes are their colours, in the folder that the test runs in; and a network's weights, which know no such class."""
    import timm

    random = np.random.default_rng(0)
    for domain, shift in (("one", 0), ("two", 12), ("far", 90)):
        for name, colour in zip(CLASSES, ((40, 40, 40), (160, 160, 160), (160, 30, 30)), strict=True):
            Path("images", domain, name).mkdir(parents=True)
            for i in range(COUNT):
                pixels = np.clip(random.normal(colour, 25, (16, 16, 3)) + shift, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(Path("images", domain, name, f"{i}.png"))
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=1000).state_dict(), "net.pth")
    return {
        "title": "Tiny",
        "data": {"class_path": "Folders", "init_args": {"root": "images", "size": 32}},
        "tasks": {"two": {"init_args": {"source": "one", "target": "two"}}},
        "labelled": {"shots": SHOTS, "holdout": 0.5, "seed": 0},
        "domains": ["one", "two", "far"],
        "candidates": {
            "net": NET,
            "random": {"class_path": "Timm", "init_args": {"name": "test_resnet", "weights": None}},
            "pixels": {"class_path": "Pixels", "init_args": {"size": 4}},
            "two pixels": {"class_path": "Pixels", "init_args": {"size": 1}},
        },
        "fine_tune": {
            "model": {
                "class_path": "FineTune",
                "init_args": {"pretrain": 0.0, "optimizer": {"class_path": "Adam", "init_args": {"lr": 0.01}}},
            },
            "data": {"init_args": {"batch_size": 6, "steps": 3}},
            "trainer": {"max_epochs": 1, "precision": 32, "limit_val_batches": 0, "accelerator": "cpu"},
        },
    }


def write(declared: dict[str, Any], name: str = "tiny.yaml") -> Path:
    Path(name).write_text(yaml.safe_dump(declared, sort_keys=False))
    return Path(name)


def results(name: str = "tiny") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("results/rank", f"{name}.json").read_text())
    return found


@pytest.mark.slow
def test_every_score_of_every_candidate(tlda: Tlda, declared: dict[str, Any]) -> None:
    done = tlda("rank", write(declared))
    assert done.code == 0, done.err
    found = results()["tasks"]["two"]
    assert set(found) == set(declared["candidates"])
    assert set(found["net"]["scores"]) == {"logme", "h_score", "transrate", "leep", "nce"}
    assert set(found["pixels"]["scores"]) == set(found["random"]["scores"]) == {"logme", "h_score", "transrate"}
    assert (found["pixels"]["rows"], found["pixels"]["width"]) == (SHOTS * len(CLASSES), 3 * 4 * 4)
    assert found["pixels"]["probe"] > 0.9
    assert all(math.isfinite(s["value"]) and s["seconds"] >= 0 for entry in found.values() for s in entry["scores"].values())
    page = Path("results/rank/tiny.md").read_text()
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in page.splitlines() if line[:2] == "| "}
    assert rows["pixels"][3:5] == ["—", "—"]
    assert rows["net"][6] == "—", "not fine-tuned"
    assert rows["pixels"][0].strip("*") == f"{found['pixels']['scores']['logme']['value']:.3f}"


def test_the_rows_are_those_that_fine_tuning_sees_and_is_not_measured_on(declared: dict[str, Any]) -> None:
    from tlda.batch import LabelledBatch
    from tlda.data import DomainPair

    ranking = load_ranking([write(declared)])
    data = make_data(ranking.features(ranking.tasks["two"], "pixels"))
    labelled, measured = (rows[torch.arange(len(rows))] for rows in data.labelled_part())
    assert torch.bincount(labelled.y).tolist() == [SHOTS] * 3
    assert len(measured.y) == len(CLASSES) * COUNT // 2
    assert not {tuple(row) for row in labelled.x.tolist()} & {tuple(row) for row in measured.x.tolist()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DomainPair, "batch_type", LabelledBatch)
        data.setup("fit")
        seen = data.training_rows()["labelled"]
    assert torch.equal(seen[torch.arange(len(seen))].x, labelled.x)


@pytest.mark.slow
def test_finished_candidates_are_not_measured_again(tlda: Tlda, declared: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert tlda("rank", write(declared), "--candidates", "pixels").code == 0
    first = results()
    with monkeypatch.context() as patch:
        patch.setattr("tlda.rank.score.score", None)
        assert tlda("rank", write(declared), "--candidates", "pixels").code == 0
        assert results() == first
    assert tlda("rank", write(declared), "--candidates", "two pixels").code == 0
    assert results()["tasks"]["two"]["pixels"] == first["tasks"]["two"]["pixels"]
    changed = write(declared | {"labelled": {**declared["labelled"], "shots": 2}})
    assert tlda("rank", changed, "--candidates", "pixels").code == 0
    assert results()["tasks"]["two"]["pixels"]["rows"] == 6
    assert set(results()["tasks"]["two"]) == {"pixels"}, "what was measured under other settings is gone"


@pytest.mark.slow
def test_fine_tuning_and_how_well_the_scores_foretold_it(tlda: Tlda, declared: dict[str, Any]) -> None:
    done = tlda("rank", write(declared), "--fine-tune")
    assert done.code == 0, done.err
    found = results()["tasks"]["two"]
    assert all(0 <= entry["fine_tuned"]["accuracy"] <= 1 for entry in found.values())
    assert len({entry["fine_tuned"]["accuracy"] for entry in found.values()}) > 1
    agreement = next(line for line in Path("results/rank/tiny.md").read_text().splitlines() if line.startswith("| LogME |"))
    assert "(4)" in agreement.split("|")[3]
    changed = write(merge(declared, {"fine_tune": {"trainer": {"max_epochs": 2}}}))
    assert tlda("rank", changed, "--candidates", "pixels").code == 0
    assert not any("fine_tuned" in entry for entry in results()["tasks"]["two"].values()), "other settings gave it"


def test_kendall_s_tau_by_counting_pairs() -> None:
    entries = {
        str(i): {"scores": {"logme": {"value": s, "seconds": 1.0}}, "probe": p, "fine_tuned": {"accuracy": f}}
        for i, (s, p, f) in enumerate([(0.1, 0.5, 0.9), (0.2, 0.7, 0.8), (0.3, 0.6, 0.7), (0.4, 0.9, 0.6)])
    }
    shown = [block for block in render.document("t", {"labelled": {}, "tasks": {"task": entries}}) if isinstance(block, Grid)]
    assert [row[0] for row in shown[0].rows] == ["3", "2", "1", "0"]
    assert shown[-1].rows[0] == ["LogME", "0.67 (4)", "-1.00 (4)", "1.000"]  # of six pairs, five agree and one does not; none agrees
    assert shown[-1].rows[1] == ["H-score", "—", "—", "—"]
    for entry in entries.values():
        entry["scores"]["logme"]["value"] = 0.1  # type: ignore[index]
    assert render.document("t", {"labelled": {}, "tasks": {"task": entries}})[-1].rows[0][1] == "—"  # type: ignore[union-attr]


@pytest.mark.slow
def test_the_nearest_source(tlda: Tlda, declared: dict[str, Any]) -> None:
    done = tlda("rank", write(declared), "--similarity", "--candidates", "pixels")
    assert done.code == 0, done.err
    pairs = {(pair["source"], pair["target"]): pair for pair in results("tiny-similarity")["pairs"]["pixels"]}
    assert len(pairs) == 6
    assert pairs["one", "two"]["mmd"] == pairs["two", "one"]["mmd"] < pairs["far", "two"]["mmd"]
    assert pairs["one", "two"]["a_distance"] < pairs["far", "two"]["a_distance"]
    assert pairs["one", "two"]["transfer"] > pairs["far", "two"]["transfer"]
    page = Path("results/rank/tiny-similarity.md").read_text()
    assert "nearest to two: one (A-distance), one (MMD); best: one" in page


def test_overlays_and_rows_of_another_data_set(tlda: Tlda, declared: dict[str, Any]) -> None:
    from scipy.io import savemat

    random = np.random.default_rng(0)
    for name in ("dslr", "webcam"):
        savemat(f"{name}.mat", {"fts": random.integers(1, 9, (60, 12)), "labels": np.arange(60)[:, None] % 10 + 1})
    surf = {"data": {"class_path": "OfficeCaltech10SURF", "init_args": {"root": ".", "source": "dslr", "target": "webcam"}}}
    declared.pop("tasks")
    write(declared | {"candidates": {"surf": surf}})
    over = write({"labelled": {"shots": 1}}, "over.yaml")
    assert tlda("rank", "tiny.yaml", over).code == 0
    found = results("over")["tasks"]["target"]["surf"]
    assert (found["rows"], found["width"]) == (10, 12)


@pytest.mark.slow
def test_leep_is_of_the_classes_that_the_network_was_trained_on(tlda: Tlda, declared: dict[str, Any]) -> None:
    import timm

    from tlda.metrics.ranking import leep

    ranking = load_ranking([write(declared)])
    data = make_data(ranking.images(ranking.tasks["two"], "net"))
    data.shots, data.holdout = SHOTS, 0.5
    whole = timm.create_model("test_resnet", num_classes=1000).eval()
    whole.load_state_dict(torch.load("net.pth", weights_only=True))
    sample = data.labelled_part()[0][torch.arange(SHOTS * 3)]
    with torch.no_grad():
        mean, std = (torch.tensor(whole.pretrained_cfg[name]).view(-1, 1, 1) for name in ("mean", "std"))
        logits = whole((sample.x / 255 - mean) / std)
    assert tlda("rank", "tiny.yaml", "--candidates", "net").code == 0
    found = results()["tasks"]["two"]["net"]["scores"]["leep"]["value"]
    assert found == pytest.approx(leep(logits.softmax(1), sample.y), abs=1e-3)


@pytest.mark.slow
def test_torchvision_s_networks_have_their_classifier_too(declared: dict[str, Any]) -> None:
    import torchvision

    from tlda.backbones import Torchvision

    whole = torchvision.models.shufflenet_v2_x0_5().eval()
    torch.save(whole.state_dict(), "shuffle.pth")
    backbone = Torchvision("shufflenet_v2_x0_5", weights="shuffle.pth").eval()
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = whole((x - backbone.mean) / backbone.std)
        assert torch.allclose(backbone.classifier()(backbone(x.clone())), expected, atol=1e-5)
    with pytest.raises(UserError, match="no classifier of its pretraining"):
        Torchvision("shufflenet_v2_x0_5", weights=None).classifier()


def test_a_probe_learns_what_there_is_to_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    x = torch.randn(60, 4, generator=generator) + 6.0 * torch.eye(4)[y]
    assert probe((x[:30], y[:30]), (x[30:], y[30:])) > 0.95
    assert probe((x[:30], y[:30]), (x[30:], y.roll(1)[30:])) < 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"candidates": {}}, "it needs 'candidates'"),
        ({"candidate": {}}, "unknown entry 'candidate'; did you mean 'candidates'?"),
        ({"candidates": {"x": {"name": "resnet18"}}}, "the candidate 'x' is none"),
        ({"candidates": {"x": {"data": {"class_path": "Folders"}}}}, "the candidate 'x' has rows"),
        ({"candidates": {"x": {"class_path": "Tim"}}}, "Tim"),
        ({"data": {"class_path": "Foldres"}}, "no class 'Foldres'; did you mean 'Folders'?"),
        ({"title": ["x"]}, "'title' must be a text, and is ['x']"),
        ({"data": "Folders"}, "'data' must be a mapping"),
        ({"data": {"class_path": "Folders", "init_args": 5}}, "has data.init_args: 5"),
        ({"data": {"class_path": "Folders", "root": "images"}}, "has 'root' in data itself"),
        ({"tasks": ["two"]}, "'tasks' must be a mapping"),
        ({"tasks": {"two": 5}}, "task 'two', has data: 5"),
        ({"tasks": {"two": {"init_args": [1]}}}, "task 'two', has data.init_args: [1]"),
        ({"tasks": {"two": {"source": "one"}}}, "task 'two', has 'source' in data itself"),
        ({"tasks": {None: {}}}, "reads a name under 'tasks' as None"),
        ({"candidates": {1: NET, "1": NET}}, "'1' occurs twice under 'candidates'"),
        ({"candidates": {"x": {"class_path": [1]}}}, "the candidate 'x' is none"),
        ({"candidates": {"x": {"backbone": 5}}}, "the candidate 'x' is none"),
        ({"candidates": {"x": {"class_path": "Pixels", "init_args": "small"}}}, "candidate 'x', has model.backbone.init_args: small"),
        ({"candidates": {"x": {"data": 5}}}, "candidate 'x', has data: 5"),
        ({"labelled": 5}, "'labelled' must be a mapping"),
        ({"labelled": {"shot": 5}}, "'labelled' has no option 'shot'; did you mean 'shots'?"),
        ({"labelled": {"shots": "x"}}, "bad value 'x' of --data.shots"),
        ({"fine_tune": [1]}, "'fine_tune' must be a mapping"),
        ({"fine_tune": {"model": 5}}, "fine_tune, has model: 5"),
        ({"fine_tune": {"trainer": {"epochs": 1}}}, "unknown option 'trainer.epochs'"),
        ({"domains": "one, two"}, "'domains' must be a list"),
        ({"domains": ["one", ["two"]]}, "one of 'domains' is ['two']"),
        ({"domains": ["one", "one"]}, "the domain 'one' occurs twice"),
    ],
)
def test_mistakes_are_one_sentence(tlda: Tlda, declared: dict[str, Any], change: dict[str, Any], sentence: str) -> None:
    done = tlda("rank", write(declared | change))
    assert done.code == 1
    (said,) = done.sentences
    assert sentence in said


def test_what_is_left_blank_is_not_there(declared: dict[str, Any]) -> None:
    blank: dict[str, Any] = {"title": None, "tasks": {}, "labelled": {"shots": None}, "fine_tune": None, "domains": []}
    ranking = load_ranking([write(declared | blank | {"candidates": {7: {"backbone": "Pixels"}}})])
    assert (ranking.title, ranking.tasks, ranking.labelled, ranking.fine_tune, ranking.domains) == ("", {"target": {}}, {}, {}, [])
    assert ranking.candidates == {"7": {"backbone": {"class_path": "Pixels"}}}


ENTRY: dict[str, Any] = {"key": "k", "rows": 3, "width": 2, "scores": {"logme": {"value": 1.0, "seconds": 0.1}}, "probe": 0.5}
PAIR: dict[str, Any] = {"source": "a", "target": "b", "a_distance": 1.0, "mmd": 0.1, "transfer": 0.5}


@pytest.mark.parametrize(
    "change",
    [
        {"key": None},
        {"width": "2"},
        {"rows": True},
        {"scores": []},
        {"scores": {"logme": 1.0}},
        {"scores": {"logme": {"value": 1.0}}},
        {"scores": {"logme": {"value": "1", "seconds": 0.1}}},
        {"probe": 85},
        {"probe": math.nan},
        {"probe": None},
    ],
)
def test_a_damaged_result_is_measured_again(change: dict[str, Any]) -> None:
    assert stored.is_entry(ENTRY)
    assert not stored.is_entry(ENTRY | change)
    assert not stored.is_entry([ENTRY])


@pytest.mark.parametrize("change", [{"source": 1}, {"mmd": math.nan}, {"a_distance": "1"}, {"transfer": 50}])
def test_damaged_distances_are_measured_again(change: dict[str, Any]) -> None:
    assert stored.are_pairs([PAIR, {name: value for name, value in PAIR.items() if name != "transfer"}])
    assert not stored.are_pairs([PAIR, PAIR | change])
    assert not any(map(stored.are_pairs, (None, [], {}, [1], "x")))


def test_fine_tuning_of_other_settings_or_damaged_is_none() -> None:
    assert stored.is_tuned({"key": "k", "accuracy": 0.5}, "k")
    assert not any(stored.is_tuned(value, "k") for value in (None, 3, {}, {"key": "l", "accuracy": 0.5}, {"key": "k", "accuracy": 50}))


@pytest.mark.parametrize("text", ["[]", "3", "", '{"tasks": ', "[" * 100_000])
def test_a_file_of_results_that_is_damaged_is_said(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.json"
    assert stored.read(path) == {}
    assert capsys.readouterr().out == ""
    path.write_text(text)
    assert stored.read(path) == {}
    assert "x.json is damaged and is left out" in capsys.readouterr().out


@pytest.mark.parametrize("tasks", [None, [], {"two": []}, {"two": {"pixels": 3}}, {"two": {"pixels": {"key": 3}}}])
def test_parts_of_the_results_that_are_damaged_hide_nothing(tasks: Any, tlda: Tlda, declared: dict[str, Any]) -> None:
    path = write(declared)
    Path("results/rank").mkdir(parents=True)
    for name in ("tiny", "tiny-similarity"):
        Path(f"results/rank/{name}.json").write_text(json.dumps({"tasks": tasks, "keys": tasks, "pairs": tasks}))
    for more in ((), ("--similarity",)):
        done = tlda("rank", path, "--render", *more)
        assert done.code == 0, done.err


def test_features_that_are_not_finite_are_one_sentence() -> None:
    from tlda.metrics.density_ratio import density_ratio
    from tlda.metrics.distances import proxy_a_distance

    rows, bad = torch.rand(8, 2), torch.full((8, 2), math.nan)
    for pair in ((rows, bad), (bad, rows), (rows, bad.fill_(math.inf))):
        with pytest.raises(UserError, match="not finite"):
            proxy_a_distance(*pair)
        assert density_ratio(*pair).isnan().all()


def test_other_mistakes(tlda: Tlda, declared: dict[str, Any]) -> None:
    path = write(declared)
    assert "no candidate 'pixles'; did you mean 'pixels'?" in tlda("rank", path, "--candidates", "pixles").sentences[0]
    assert "at least two" in tlda("rank", write(declared | {"domains": []}), "--similarity").sentences[0]
    assert "nothere.yaml" in tlda("rank", "nothere.yaml").sentences[0]
    with pytest.raises(UserError, match="it needs"):
        load_ranking([write([])])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["", "-similarity"])
def test_the_committed_page_is_what_its_results_give(kind: str) -> None:
    ranking = load_ranking([REPO / "benchmarks/rank/office_caltech10.yaml"])
    folder = REPO / "benchmarks/results/rank"
    found = json.loads((folder / f"office_caltech10{kind}.json").read_text())
    shown = (render.similarity_document if kind else render.document)(ranking.title, found)
    assert (folder / f"office_caltech10{kind}.md").read_text() == markdown(shown)
