"""The measures of a translation, against SciPy and closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn

from tlda.batch import Output
from tlda.errors import UserError
from tlda.metrics.translation import Translation, load_inception

NOTHING = torch.empty(0)


def measured(measures: Translation, made: Tensor, target: Tensor, kept: tuple[Tensor, Tensor] | None = None) -> dict[str, float]:
    """The measures of features, which come in two batches of each domain."""
    after, before = kept or (torch.zeros(len(made), 3), torch.zeros(len(made), 3))
    for part in torch.arange(len(made)).chunk(2):
        measures.update(NOTHING, Output(made[part], after[part]), Output(made[part], before[part]))
    for rows in target.chunk(2):
        measures.update(NOTHING, Output(rows, torch.zeros(len(rows), 3)))
    return {name.removeprefix("val/translation/"): value.item() for name, value in measures.computed().items()}


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    (m, c), (n, d) = ((z.mean(0), np.cov(z, rowvar=False)) for z in (x, y))
    return float(((m - n) ** 2).sum() + np.trace(c + d - 2 * sqrtm(c @ d).real))


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared MMD of the cubic kernel, pair by pair."""

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [np.mean([k(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]) for z in (x, y)]
    return float(sum(within) - 2 * np.mean([k(a, b) for a in x for b in y]))


@pytest.mark.parametrize(("n", "m", "d"), [(40, 40, 3), (30, 50, 8), (9, 7, 2)])
def test_the_distances_are_those_of_the_papers(n: int, m: int, d: int) -> None:
    torch.manual_seed(n)
    made, target = torch.randn(n, d), 0.5 + 1.5 * torch.randn(m, d)
    values = measured(Translation(d), made, target)
    x, y = made.double().numpy(), target.double().numpy()
    assert values["frechet"] == pytest.approx(frechet(x, y), rel=1e-3)
    if n == m:  # a subset has as many rows of either, all of them where it can
        assert values["kernel"] == pytest.approx(kernel(x, y), rel=1e-3)


def test_subsets_estimate_the_kernel_distance() -> None:
    torch.manual_seed(0)
    made, target = torch.randn(60, 3), 1 + torch.randn(90, 3)
    assert measured(Translation(3), made, target)["kernel"] == pytest.approx(kernel(made.numpy(), target.numpy()), rel=0.1)


def test_a_translation_is_nearer_than_what_it_was_made_of() -> None:
    torch.manual_seed(0)
    source, target = torch.randn(80, 4), 3 + torch.randn(80, 4)
    raw, made = (measured(Translation(4), x, target) for x in (source, source + 2.9))
    assert made["frechet"] < 0.1 * raw["frechet"]
    assert made["kernel"] < 0.1 * raw["kernel"]


def test_the_share_of_classes_kept_is_counted_over_images() -> None:
    before = torch.eye(3)[torch.arange(9) % 3]
    after = before.clone()
    after[:2] = torch.eye(3)[torch.tensor([2, 2])]
    x = torch.randn(9, 2)
    assert measured(Translation(2), x, x.clone(), (after, before))["semantic"] == pytest.approx(7 / 9)


def test_measuring_draws_nothing_from_the_training_and_begins_anew() -> None:
    measures, x = Translation(2), torch.randn(20, 2)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = measured(measures, x, x + 1)
    assert torch.equal(torch.rand(4), expected)
    assert measured(measures, x, x + 1) == first
    measures.update(NOTHING, Output(x, x))
    assert measures.computed() == {}, "of one domain alone there is no distance"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inception's weights in their true format, drawn at random."""
    from torch_fidelity import feature_extractor_inceptionv3 as fidelity

    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        torch.save(fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"]).state_dict(), path)
    return path


@pytest.mark.slow
def test_inception_measures_the_images_themselves_and_under_names_of_its_own(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    def quick(mu1: Tensor, sigma1: Tensor, mu2: Tensor, sigma2: Tensor) -> Tensor:
        return (mu1 - mu2).square().sum() + (sigma1 - sigma2).square().sum()

    # The eigenvalues of 2048 x 2048 numbers take seconds; that they are those of the paper is shown above, of fewer.
    monkeypatch.setattr("torchmetrics.image.fid._compute_fid", quick)
    torch.manual_seed(0)
    made, target = torch.rand(3, 1, 20, 20), torch.rand(4, 1, 20, 20).round()
    measures, judged = Translation(2, str(weights)), Output(torch.zeros(3, 2), torch.zeros(3, 2))
    measures.update(made, judged, judged)
    measures.update(target, Output(torch.zeros(4, 2), torch.zeros(4, 2)))
    values = measures.computed()
    assert set(values) == {f"val/translation/{name}" for name in ("inception_frechet", "inception_kernel", "semantic")}
    whole = FrechetInceptionDistance(load_inception(str(weights)))
    for x, real in ((made, False), (target, True)):
        whole.update((255 * x).round().byte().expand(-1, 3, -1, -1), real=real)
    assert values["val/translation/inception_frechet"] == pytest.approx(whole.compute().item(), rel=1e-3)
    assert not measures.state_dict(), "checkpoints are without it"


@pytest.mark.slow
def test_bad_weights_of_inception_are_told_in_a_sentence(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no file .*none.pth with Inception's weights: get it from https"):
        load_inception(str(tmp_path / "none.pth"))
    torch.save(nn.Linear(1, 1).state_dict(), tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("other", "text"):
        with pytest.raises(UserError, match=f"{name}.pth does not hold Inception's weights"):
            load_inception(str(tmp_path / f"{name}.pth"))
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)
    with pytest.raises(UserError, match=r"pip install 'tlda\[inception\]'"):
        load_inception(str(weights))
