"""What is measured of one candidate on one task: scores without training, a linear probe, and fine-tuning."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tlda.batch import Rows
from tlda.bench.table import METRIC, merge
from tlda.config.sentences import explained
from tlda.data.extractor import Extractor
from tlda.data.features import Features
from tlda.data.pair import DomainPair
from tlda.errors import UserError
from tlda.metrics.ranking import h_score, leep, logme, nce, transrate
from tlda.rank.declared import Ranking, only_known

FEATURE_SCORES: dict[str, Callable[[Any, Any], float]] = {"logme": logme, "h_score": h_score, "transrate": transrate}
SOURCE_SCORES: dict[str, Callable[[Any, Any], float]] = {"leep": leep, "nce": nce}
SCORES = (*FEATURE_SCORES, *SOURCE_SCORES)


@functools.cache
def _parser() -> Any:
    from pytorch_lightning.cli import LightningArgumentParser

    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(DomainPair, "data", subclass_mode=True)
    return parser


def make_data(config: dict[str, Any]) -> DomainPair:
    """The data that ``config`` describes."""
    with explained():
        made = _parser().instantiate_classes(_parser().parse_object({"data": config})).data
    assert isinstance(made, DomainPair)
    return made


def read_rows(data: DomainPair, rows: Rows, candidate: str) -> tuple[Tensor, Tensor]:
    """All of ``rows`` as features (n, d), and their classes (n,).

    Raises:
        UserError: the rows are no features, or none that can be compared; or they have no class each.
    """
    sample = data.prepare(rows[torch.arange(len(rows))])
    if not isinstance(sample.x, Tensor) or sample.x.ndim != 2:
        shape = str(tuple(sample.x.shape)) if isinstance(sample.x, Tensor) else "of texts or columns"
        raise UserError(f"the candidate '{candidate}' has rows {shape}, not features (n, d): give it a backbone")
    if not bool(sample.x.isfinite().all()):
        raise UserError(
            f"the features of the candidate '{candidate}' are not finite (NaN or infinite): look at its weights, or leave it out"
        )
    if not isinstance(sample.y, Tensor) or sample.y.ndim != 1:
        raise UserError(f"the candidate '{candidate}' has rows with several labels each, and a ranking is of rows with one class each")
    return sample.x, sample.y


def score(ranking: Ranking, task: dict[str, Any], candidate: str) -> dict[str, Any]:
    """The scores of ``candidate`` on the labelled part of the target with their seconds, and the accuracy of a probe trained there."""
    start = time.perf_counter()
    data = make_data(ranking.features(task, candidate))
    labelled, measured = data.labelled_part()
    x, y = read_rows(data, labelled, candidate)
    test = read_rows(data, measured, candidate)
    found: dict[str, Any] = {"rows": len(y), "width": x.shape[1], "features_seconds": round(time.perf_counter() - start, 3)}
    found["scores"] = {name: _timed(function, x, y) for name, function in FEATURE_SCORES.items()}
    classifier = source_classifier(data)
    if classifier is not None:
        with torch.inference_mode():
            probabilities = classifier(x).softmax(1).clone()
        found["scores"] |= {name: _timed(function, probabilities, y) for name, function in SOURCE_SCORES.items()}
    return found | {"probe": probe((x, y), test)}


def _timed(function: Callable[[Any, Any], float], rows: Tensor, labels: Tensor) -> dict[str, float]:
    start = time.perf_counter()
    value = function(rows, labels)
    return {"value": value, "seconds": round(time.perf_counter() - start, 4)}


def probe(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """The accuracy on ``test`` of a logistic regression on standardised features of ``train``, as scikit-learn has it by default."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(*(part.numpy() for part in train))
    return float(classifier.score(*(part.numpy() for part in test)))


def source_classifier(data: DomainPair) -> nn.Linear | None:
    """The layer from the features to the source's classes that the network of ``data`` was pretrained with; None where there is none."""
    if not isinstance(data, Features):
        return None
    try:
        return Extractor(data.extractor, torch.device("cpu")).network.classifier()
    except UserError:
        return None


def fine_tuned(ranking: Ranking, task: dict[str, Any], candidate: str, width: int) -> dict[str, float]:
    """What fine-tuning on the labelled part gives, by the ranking's ``fine_tune``: the accuracy on the rows that measure, and seconds."""
    from pytorch_lightning import seed_everything

    from tlda.config.build import build

    rows = {"class_path": "Precomputed", "init_args": {"num_features": width}}
    model = {"init_args": {"backbone": ranking.candidates[candidate].get("backbone", rows)}}
    images = merge(ranking.images(task, candidate), ranking.fine_tune.get("data", {}), {"init_args": ranking.labelled})
    config = {**ranking.fine_tune, "model": merge(ranking.fine_tune.get("model", {}), model), "data": only_known(images)}
    seed_everything(ranking.labelled.get("seed", 0), verbose=False)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    start = time.perf_counter()
    method, data, trainer = build(config, **quiet)
    trainer.fit(method, data)
    measured = trainer.test(method, data, verbose=False)[-1]
    return {"accuracy": float(measured[METRIC]), "seconds": round(time.perf_counter() - start, 1)}
