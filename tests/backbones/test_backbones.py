"""Backbones: widths, input statistics, clear errors."""

from __future__ import annotations

import pytest
import torch

from tlda.backbones import DTN, MLP, Backbone, LeNet, SeriesCNN, Timm, Torchvision
from tlda.errors import UserError
from tlda.nn import MultilinearMap, critic, reverse_gradient


@pytest.mark.parametrize(
    ("backbone", "shape"),
    [
        (LeNet(), (2, 1, 28, 28)),
        (LeNet(size=16, num_features=32, batch_norm=True), (2, 1, 16, 16)),
        (LeNet(channels=3, size=32), (2, 3, 32, 32)),
        (DTN(num_features=64), (2, 3, 32, 32)),
        (MLP(5), (2, 5)),
        (MLP(5, [7, 3], dropout=0.5, batch_norm=True), (16, 5)),  # of two rows dropout may leave nothing
        (SeriesCNN(), (2, 9, 128)),
        (SeriesCNN(2, 8, [4, 3], dropout=0.0), (3, 2, 8)),
        (Timm("resnet10t", weights=None), (2, 3, 64, 64)),
        (Torchvision("mobilenet_v3_small", weights=None), (2, 3, 64, 64)),
    ],
)
def test_features_have_the_promised_width_and_a_gradient(backbone: Backbone, shape: tuple[int, ...]) -> None:
    features = backbone(torch.rand(shape))
    assert features.shape == (shape[0], backbone.num_features)
    features.square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in backbone.parameters())


def test_an_mlp_is_its_layers_one_after_the_other_and_is_cut_by_them() -> None:
    backbone = MLP(5, [7, 3], dropout=0.5, batch_norm=True)
    kinds = [torch.nn.Linear, torch.nn.BatchNorm1d, torch.nn.ReLU, torch.nn.Dropout]
    assert [type(part) for part in backbone.layers] == 2 * kinds
    assert [type(part) for block in backbone.blocks() for part in block] == 2 * kinds  # type: ignore[attr-defined]
    assert len(backbone.blocks()) == 2
    plain, x = MLP(5, [7, 3]), torch.randn(4, 5)
    first, second = (plain.layers[place] for place in (0, 2))
    hidden = (x @ first.weight.T + first.bias).clamp_min(0)  # type: ignore[operator]
    torch.testing.assert_close(plain(x), (hidden @ second.weight.T + second.bias).clamp_min(0))  # type: ignore[operator]


def test_a_network_of_series_is_that_of_adatime() -> None:
    backbone = SeriesCNN()
    convolutions = [layer for layer in backbone.layers if isinstance(layer, torch.nn.Conv1d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0], c.padding[0], c.bias) for c in convolutions] == [
        (9, 64, 5, 2, None),
        (64, 128, 8, 4, None),
        (128, 128, 8, 4, None),
    ]
    assert len(backbone.blocks()) == 3
    assert backbone.layers[:-2](torch.zeros(2, 9, 128)).shape == (2, 128, 18)  # 65, 34 and 18 samples after each maximum
    assert backbone.example().shape == (2, 9, 128)


def test_a_backbone_normalises_its_own_input() -> None:
    class Identity(Backbone):
        def __init__(self) -> None:
            super().__init__(3, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))

        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3))

    features = Identity()(torch.full((1, 3, 2, 2), 0.6))
    torch.testing.assert_close(features, torch.tensor([[1.0, 0.4, 0.15]]))
    timm = Timm("resnet10t", weights=None)
    assert timm.mean.flatten().tolist() == pytest.approx(timm.model.pretrained_cfg["mean"])  # type: ignore[index]
    assert "mean" not in timm.state_dict()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: LeNet(size=12), "at least 16 pixels"),
        (lambda: LeNet()(torch.rand(2, 3, 28, 28)), "--model.backbone.channels 3"),
        (lambda: LeNet()(torch.rand(2, 1, 16, 16)), "16 x 16"),
        (lambda: DTN()(torch.rand(2, 3, 28, 28)), "32 x 32"),
        (lambda: MLP(5)(torch.rand(2, 6)), "set --model.backbone.num_inputs 6"),
        (lambda: MLP(5)(torch.rand(2, 1, 4, 4)), "--data Tabular"),
        (lambda: MLP(5, hidden=[]), "hidden is"),
        (lambda: MLP(5, hidden=[8, 0]), "hidden is"),
        (lambda: MLP(5, dropout=1.0), "dropout of MLP is 1.0"),
        (lambda: SeriesCNN()(torch.rand(2, 3, 128)), "takes 9 channels, the series have 3: set --model.backbone.channels 3"),
        (lambda: SeriesCNN()(torch.rand(2, 9)), r"SeriesCNN takes series \(n, c, t\)"),
        (lambda: SeriesCNN(widths=[]), "widths is"),
        (lambda: Timm("resnet18z", weights=None), "did you mean"),
        (lambda: Torchvision("resnet19"), "did you mean"),
        (lambda: Torchvision("resnet18", weights="IMAGENET9"), "IMAGENET9"),
        (lambda: Torchvision("squeezenet1_0", weights=None), "use Timm"),
        (lambda: Timm("test_resnet", weights=None)(torch.rand(2, 5, 32, 32)), r"takes 3 channel\(s\), the images have 5"),
        (lambda: Timm("test_resnet", weights=None, channels=1)(torch.rand(2, 3, 32, 32)), r"takes 1 channel\(s\), the images have 3"),
    ],
)
def test_errors_say_what_to_do(make: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("layer", [None, "layer2"])
def test_other_channels_have_the_mean_of_the_three_statistics(channels: int, layer: str | None) -> None:
    backbone = Timm("test_resnet", weights=None, channels=channels, layer=layer).eval()
    mean, std = (sum(backbone.model.pretrained_cfg[name]) / 3 for name in ("mean", "std"))  # type: ignore[index]
    assert (backbone.mean.item(), backbone.std.item()) == (pytest.approx(mean), pytest.approx(std))  # type: ignore[comparison-overlap]
    assert backbone(torch.rand(2, channels, 32, 32)).shape == (2, backbone.num_features)


def test_a_network_for_colour_sees_a_grey_image_in_three_channels() -> None:
    backbone, grey = Timm("test_resnet", weights=None).eval(), torch.rand(2, 1, 32, 32)
    assert torch.equal(backbone(grey), backbone(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize(("name", "size"), [("googlenet", 32), ("inception_v3", 80)])
@pytest.mark.filterwarnings("ignore:The default weight initialization:FutureWarning")
def test_a_network_with_auxiliary_classifiers_trains_without_them(name: str, size: int) -> None:
    backbone = Torchvision(name, weights=None).train()
    assert backbone(torch.rand(2, 3, size, size)).shape == (2, backbone.num_features)
    assert not [key for key in backbone.state_dict() if "aux" in key.lower()]


def test_reversal_negates_and_scales_the_gradient() -> None:
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    (reverse_gradient(x, 0.3) ** 2).sum().backward()
    torch.testing.assert_close(x.grad, -0.3 * 2 * x.detach())


def test_multilinear_map_is_the_outer_product_or_estimates_its_kernel() -> None:
    features, predictions = torch.randn(5, 6), torch.randn(5, 3).softmax(1)
    exact = MultilinearMap(6, 3)(features, predictions)
    expected = torch.einsum("nc,nd->ncd", predictions, features).flatten(1)
    torch.testing.assert_close(exact, expected)
    torch.manual_seed(0)
    random = MultilinearMap(6, 3, max_features=17)
    assert random.randomized
    assert random(features, predictions).shape == (5, 17)
    torch.manual_seed(0)
    # Many projections: inner products are those of the outer products (Long et al., 2018, theorem 1).
    kernels = torch.stack([(z := MultilinearMap(6, 3, 16)(features, predictions)) @ z.T for _ in range(3000)])
    torch.testing.assert_close(kernels.mean(0), expected @ expected.T, rtol=0.15, atol=0.3)


def test_critic_is_a_logit_a_row() -> None:
    assert critic(7, hidden=5, dropout=0.5)(torch.randn(3, 7)).shape == (3, 1)
