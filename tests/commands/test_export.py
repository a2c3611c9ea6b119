"""``tlda export``: what runs without tlda says what the method says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import Tlda
from tests.helpers.tiny_text import tiny_model
from tlda.backbones import MLP, Backbone, LeNet, Text, Timm
from tlda.commands.export import OPSET, export, traced
from tlda.errors import UserError
from tlda.method import Method
from tlda.methods import DANN, AdaBN
from tlda.tasks import Words

Outputs = Callable[[Tensor], tuple[Tensor, Tensor]]
CASES = {
    "lenet": (lambda: LeNet(1, size=16), lambda n: torch.rand(n, 1, 16, 16)),
    "timm": (lambda: Timm("test_resnet", weights=None), lambda n: torch.rand(n, 3, 32, 32)),
    "text": (lambda: Text(tiny_model()), lambda n: torch.cat([torch.randint(5, 40, (n, n + 3)), torch.full((n, 1), -1)], 1)),
    "mlp": (lambda: MLP(5), lambda n: torch.randn(n, 5)),
}


def method_of(backbone: Backbone) -> Method:
    """DANN on ``backbone``, whose BatchNorm has statistics of its own."""
    method = DANN(backbone=backbone, task=3, bottleneck=7)
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features)
    return method.eval()


def by_onnx(path: Path) -> Outputs:
    """What the file at ``path`` answers, by ONNX's runtime."""
    session = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed").InferenceSession(path)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["0", "1", "2"]

    def answer(x: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = map(torch.from_numpy, session.run(["features", "logits"], {"x": x.numpy()}))
        return features, logits

    return answer


def by_torch(path: Path) -> Outputs:
    """What the program at ``path`` answers, by PyTorch alone."""
    more = {"classes": ""}
    program = torch.export.load(path, extra_files=more)
    assert json.loads(more["classes"]) == ["0", "1", "2"]
    answer: Outputs = program.module()
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_exports_of_dann_answer_as_the_method_for_any_batch(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, draw = CASES[case]
    method = method_of(make())
    program = traced(method.network, draw(2))
    monkeypatch.setattr("tlda.commands.export.traced", lambda *_: program)  # once for both: it takes seconds
    readers = [by_torch] if case == "mlp" else [by_torch, by_onnx]
    for read in readers:
        path = tmp_path / ("net.pt2" if read is by_torch else "net.onnx")
        assert "logits (n, 3)" in export(method, path)
        answer = read(path)
        for n in (1, 2, 5):
            x = draw(n)
            with torch.no_grad():
                for mine, theirs in zip(method(x), answer(x), strict=True):
                    torch.testing.assert_close(theirs, mine, atol=1e-4, rtol=0)
                    assert mine.std() > 1e-3, "the outputs differ, so that equal ones say something"


@pytest.mark.slow
def test_a_run_is_exported_from_the_command_line(tlda: Tlda, trained: Path) -> None:
    done = tlda("export", "--ckpt_path", trained, "--output", "deep/net.onnx")
    assert done.code == 0, done.err
    assert f"wrote deep/net.onnx: ONNX, opset {OPSET}, from x (n, 1, 16, 16) to features (n, " in done.out
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    assert [each.version for each in onnx.load("deep/net.onnx").opset_import if not each.domain] == [OPSET]


def small() -> Timm:
    """A network with BatchNorm."""
    return Timm("test_resnet", weights=None)


class Unsure(Backbone):
    """A backbone whose shape depends on its values, which no tracer follows."""

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, : int(x.sum()) + 4]


@pytest.mark.parametrize(
    ("method", "name", "sentence"),
    [
        (lambda: method_of(MLP(5)), "net.pth", r"--output is .*net.pth: its ending says what is written, .onnx \(ONNX\) or .pt2"),
        (
            lambda: AdaBN(backbone=Timm("test_resnet", weights=None), task=3),
            "net.pt2",
            "AdaBN answers by more than its network.*use tlda.predict",
        ),
        (lambda: DANN(backbone=MLP(5), task=Words(["a", "b"])), "net.pt2", "Words has several rows per text.*use tlda.predict"),
        (lambda: DANN(backbone=Unsure(4), task=3), "net.pt2", r"cannot be traced for inputs \(2, 3, 224, 224\) \(.*name their --size"),
    ],
)
def test_what_cannot_be_exported_is_refused(method: Callable[[], Method], name: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        export(method(), tmp_path / name)
    assert not list(tmp_path.iterdir())
