"""How far a backbone is fine-tuned: what is frozen stays, bit for bit, and a run goes on as it would have."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn

import tlda.methods
from tests.conftest import REPO, Tlda
from tests.helpers.ddp import run_ddp
from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tlda.backbones import DTN, Backbone, LeNet
from tlda.bench.table import merge
from tlda.config.build import build, load
from tlda.config.overlays import read_yaml
from tlda.errors import UserError, subclasses
from tlda.finetuning import (
    IA3,
    LPFT,
    BatchNormOnly,
    FrozenBatchNorm,
    Full,
    Gradual,
    LastBlocks,
    LayerDecay,
    LinearProbe,
    LoHa,
    LoKr,
    LoRA,
    StochNorm,
    Tuning,
    merged,
)
from tlda.method import Method
from tlda.optim import SGD, Adam


class Convolutions(Backbone):
    """Three plain convolutions."""

    def __init__(self, norm: type[nn.Module] = nn.Identity) -> None:
        super().__init__(6)
        blocks = [nn.Sequential(nn.Conv2d(c, 6, 3, padding=1), norm(6), nn.ReLU(), nn.Dropout(0.2)) for c in (1, 6, 6)]
        self.blocks_ = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.pool(self.blocks_(x)).flatten(1)
        return features

    def blocks(self) -> list[nn.Module]:
        return list(self.blocks_)


class Transformer(Backbone):
    """Two encoder layers of torch over the rows of the image, with a position embedding that is in no block."""

    def __init__(self) -> None:
        super().__init__(8)
        self.embed = nn.Linear(4, 8)
        self.position = nn.Parameter(torch.zeros(4, 8))
        self.layers = nn.Sequential(*(nn.TransformerEncoderLayer(8, 2, 16, 0.1, batch_first=True) for _ in range(2)))

    def features(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(self.embed(x.squeeze(1)) + self.position).mean(1)
        return features


NETWORKS = {"plain": Convolutions, "batchnorm": lambda: Convolutions(nn.BatchNorm2d), "transformer": Transformer}
every_network = pytest.mark.parametrize("network", NETWORKS)
POLICIES: dict[str, Any] = {
    "LinearProbe": LinearProbe,
    "LastBlocks": lambda: LastBlocks(1),
    "BatchNormOnly": BatchNormOnly,
    "FrozenBatchNorm": FrozenBatchNorm,
    "Gradual": lambda: Gradual(until=1.0),
    "GradualByEpochs": lambda: Gradual(epochs=1),
    "LayerDecay": lambda: LayerDecay(0.5),
    "LPFT": lambda: LPFT(0.5),
    "LoRA": lambda: LoRA(rank=1),
    "LoHa": LoHa,
    "LoKr": LoKr,
    "IA3": IA3,
    "StochNorm": StochNorm,
    "Full": Full,
}
WITHOUT_NORM = {("BatchNormOnly", "plain"), *((p, n) for p in ("FrozenBatchNorm", "StochNorm") for n in ("plain", "transformer"))}
ADAPTERS = ("LoRA", "LoHa", "LoKr", "IA3")
HALF = 1
"""The epochs after which a run of two is watched: what is frozen until then is frozen bit for bit."""


def expected(policy: str, key: str, half: bool) -> bool:
    """Whether ``policy`` trains ``key`` of a backbone in the first ``half`` of a run or in the whole, from first principles."""
    name = key.split(".")
    last = {"blocks_": "2", "layers": "1"}
    in_last_block = name[0] in last and name[1] == last[name[0]]
    is_batch_norm = name[0] == "blocks_" and name[2] == "1"
    is_norm = is_batch_norm or "norm1" in name or "norm2" in name
    is_buffer = name[-1] in ("running_mean", "running_var", "num_batches_tracked")
    return {
        "LinearProbe": False,
        "LastBlocks": in_last_block,
        "BatchNormOnly": is_norm,
        "FrozenBatchNorm": not is_norm,
        "Gradual": in_last_block if half else name[0] in last and name[1] in ("1", last[name[0]], "0" * (name[0] == "layers")),
        "GradualByEpochs": in_last_block and not half,
        "LPFT": not half and not is_batch_norm,
        **dict.fromkeys(ADAPTERS, "default" in name and not is_buffer),
    }.get(policy, True)


class States(Callback):
    """The state of the backbone at the start of training and after each epoch."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def keep(self, trainer: Trainer, pl_module: Any) -> None:
        self.seen.append({key: value.clone() for key, value in pl_module.backbone.state_dict().items()})

    on_train_start = on_train_epoch_end = keep


def make(backbone: Backbone, tuning: Tuning | None, method: type[Method] = tlda.methods.SourceOnly, **options: Any) -> Method:
    seed_everything(0, verbose=False)
    return method(backbone=backbone, task=CLASSES, tuning=tuning, **{"optimizer": Adam(0.01, weight_decay=0.1), **options})


def test_every_policy_is_in_the_table() -> None:
    assert {type(make_tuning()).__name__ for make_tuning in POLICIES.values()} == set(subclasses(Tuning))


@pytest.mark.slow
@every_network
@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_frozen_stays_bit_for_bit_and_the_rest_moves(policy: str, network: str) -> None:
    if (policy, network) in WITHOUT_NORM:
        with pytest.raises(UserError, match=f"{policy} .*has none"):
            make(NETWORKS[network](), POLICIES[policy]())
        return
    method, states = make(NETWORKS[network](), POLICIES[policy]()), States()
    trainer(2, callbacks=[states]).fit(method, Toy(steps=9))
    start, middle, end = states.seen
    for key in start:
        for half, after in ((True, middle), (False, end)):
            assert torch.equal(start[key], after[key]) is not expected(policy, key, half), (key, half)


@pytest.mark.parametrize("optimizer", [SGD(0.1, weight_decay=0.1), Adam(0.01, weight_decay=0.1)], ids=["SGD", "Adam"])
def test_thawed_momentum_does_not_move_what_is_frozen(optimizer: Any) -> None:
    # Seen by the optimizer from the start, and by the loss, which alone would have a gradient for it.
    from tlda.losses import L2SP

    method, states = make(Convolutions(), LastBlocks(1), optimizer=optimizer, plus=[L2SP(10.0)]), States()
    trainer(1, callbacks=[states]).fit(method, Toy())
    assert torch.equal(states.seen[0]["blocks_.0.0.weight"], states.seen[-1]["blocks_.0.0.weight"])
    assert {id(p) for group in method.parameter_groups() for p in group["params"]} >= {id(p) for p in method.backbone.parameters()}


def test_a_probe_is_one_on_cached_features() -> None:
    method = make(Convolutions(nn.BatchNorm2d), LinearProbe())
    seen: list[Tensor] = []
    method.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]) if method.training else None)
    data = Toy()
    trainer(1).fit(method, data)
    inputs = data.loaded[0].train.images / 255  # type: ignore[attr-defined]
    with torch.no_grad():
        cached = method.backbone.eval()(inputs)
    assert all((row == cached).all(1).any() for row in torch.cat(seen))


def test_a_thing_in_evaluation_mode_stays_there() -> None:
    method = make(Convolutions(nn.BatchNorm2d), LastBlocks(2))
    held = method.backbone.blocks_[2][1].eval()  # type: ignore[index, union-attr]
    trainer(1).fit(method, Toy())
    assert not held.training
    assert method.backbone.blocks_[2][3].training  # type: ignore[index, union-attr]
    assert method.backbone.blocks_[1][1].training  # type: ignore[index, union-attr]
    assert not method.backbone.blocks_[0][3].training  # type: ignore[index, union-attr]


# Blocks


def test_blocks_go_from_the_input_to_the_features() -> None:
    assert [len(net.blocks()) for net in (LeNet(batch_norm=True), DTN(), Tiny(), Transformer())] == [3, 4, 2, 3]
    parts = [[type(layer).__name__ for layer in block] for block in DTN().blocks()]  # type: ignore[attr-defined]
    assert parts[0] == ["Conv2d", "BatchNorm2d", "Dropout2d", "ReLU"]
    assert parts[-1] == ["Linear", "BatchNorm1d", "ReLU"]
    for net in (LeNet(), DTN(), Tiny()):
        assert [id(p) for block in net.blocks() for p in block.parameters()] == [id(p) for p in net.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "blocks"),
    [("test_resnet", 5), ("test_efficientnet", 7), ("test_vit", 7), ("test_convnext", 5)],
)
def test_blocks_of_timm_are_its_stages(name: str, blocks: int) -> None:
    from tlda.backbones import Timm

    net = Timm(name, weights=None)
    assert len(net.blocks()) == blocks
    in_blocks = {id(p) for block in net.blocks() for p in block.parameters()}
    outside = {key for key, p in net.named_parameters() if id(p) not in in_blocks}
    assert outside <= {"model.cls_token", "model.pos_embed"}


def test_blocks_of_feature_maps_are_the_networks_and_the_decoder() -> None:
    from tlda.backbones import Dense

    net = Dense("test_resnet", weights=None)
    *of_network, decoder = net.blocks()
    assert len(of_network) > 3
    assert decoder is net.decoder


# Rates


def test_layer_decay_is_a_rate_a_block() -> None:
    method = make(Transformer(), LayerDecay(0.5), lr_multipliers={"backbone": 0.1}, optimizer=SGD(lr=1.0))
    rates = {group["name"]: group["lr"] for group in method.configure_optimizers().param_groups}  # type: ignore[union-attr]
    assert rates == pytest.approx({"backbone.0": 0.0125, "backbone.1": 0.025, "backbone.2": 0.05, "head": 1.0})
    of = {id(p): group["name"] for group in method.parameter_groups() for p in group["params"]}
    assert of[id(method.backbone.position)] == of[id(method.backbone.embed.weight)] == "backbone.0"  # type: ignore[union-attr]
    assert len(of) == len(list(method.parameters()))


def test_layer_decay_reaches_a_module_with_a_rate_of_its_own() -> None:
    method = make(Transformer(), LayerDecay(0.5), lr_multipliers={"backbone.embed": 0.1}, optimizer=SGD(lr=1.0))
    rates = {group["name"]: group["lr"] for group in method.configure_optimizers().param_groups}  # type: ignore[union-attr]
    assert rates["backbone.embed.0"] == pytest.approx(0.1 * rates["backbone.0"])


def test_lp_ft_goes_on_at_a_lower_rate() -> None:
    rates: list[float] = []

    class Rates(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            rates.append(trainer.optimizers[0].param_groups[-1]["lr"])

    trainer(2, callbacks=[Rates()]).fit(make(Tiny(), LPFT(0.5, 0.1), optimizer=SGD(lr=0.2)), Toy(steps=4))
    assert rates == pytest.approx([0.2] * 4 + [0.02] * 4)


@pytest.mark.parametrize(
    ("tuning", "stages"),
    [(Gradual(until=0.5), [0, 0, 1, 2, 3, 4, 4, 4]), (Gradual(epochs=2), [0, 0, 1, 1, 2, 2, 3, 3]), (LPFT(0.5), [0, 0, 0, 0, 4, 4, 4, 4])],
    ids=["until", "epochs", "LPFT"],
)
def test_stages_follow_progress_and_epoch(tuning: Tuning, stages: list[int]) -> None:
    at = [(0.0, 0), (0.12, 1), (0.13, 2), (0.25, 3), (0.5, 4), (0.51, 5), (0.9, 6), (1.0, 7)]
    if not isinstance(tuning, LPFT) and not tuning.epochs:  # type: ignore[attr-defined]
        at = [(p, 0) for p in (0.0, 0.12, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0)]
    if isinstance(tuning, LPFT):
        at = [(p, 0) for p in (0.0, 0.2, 0.4, 0.499, 0.5, 0.6, 0.9, 1.0)]
    assert [tuning.stage(4, *moment) for moment in at] == stages


# Resume


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "epoch"),
    [
        ("Gradual", 0),
        ("Gradual", 1),
        ("Gradual", 2),
        ("GradualByEpochs", 1),
        ("LPFT", 0),
        ("LPFT", 1),
        ("LPFT", 2),
        ("LoRA", 1),
        ("StochNorm", 1),
    ],
)
def test_resume_equals_uninterrupted(policy: str, epoch: int, tmp_path: Path) -> None:
    def fresh() -> Method:
        return make(Tiny(), POLICIES[policy](), tlda.methods.DANN)

    whole, keep = fresh(), ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer(4, enable_checkpointing=True, callbacks=[keep]).fit(whole, Toy())
    resumed = fresh()
    torch.manual_seed(12345)  # whatever happened in between must not matter
    trainer(4).fit(resumed, Toy(), ckpt_path=tmp_path / f"epoch={epoch}.ckpt", weights_only=True)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


# Under methods


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MCD", "ADDA", "WDGRL", "SDAT", "VADA", "CST"])
@pytest.mark.parametrize("policy", ["Gradual", "LoRA"])
def test_other_methods_keep_it_frozen_too(name: str, policy: str) -> None:
    method, states = make(Convolutions(nn.BatchNorm2d), POLICIES[policy](), getattr(tlda.methods, name)), States()
    trainer(2, callbacks=[states]).fit(method, Toy())
    start, middle, end = states.seen
    for key in start:
        for half, after in ((True, middle), (False, end)):
            assert expected(policy, key, half) or torch.equal(start[key], after[key]), key
    assert any(not torch.equal(start[key], end[key]) for key in start)


def test_a_method_that_has_nothing_left_to_train_says_so(tmp_path: Path) -> None:
    source = make(Tiny(), None)
    run = trainer(1)
    run.fit(source, Toy())
    run.save_checkpoint(tmp_path / "source.ckpt")
    method = make(Tiny(), LinearProbe(), tlda.methods.SHOT, init_from=str(tmp_path / "source.ckpt"))
    with pytest.raises(UserError, match="LinearProbe leaves SHOT nothing to train"):
        trainer(1).fit(method, Toy())


@pytest.mark.slow
def test_two_processes_thaw_alike(tmp_path: Path) -> None:
    states = []
    for devices in (1, 2):
        (folder := tmp_path / str(devices)).mkdir()
        states += run_ddp(
            devices, folder, "--model.tuning=Gradual", "--model.tuning.until=1", "--model.optimizer=SGD", "--model.optimizer.lr=0.1"
        )
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-5, atol=1e-6, msg=key)


# Adapters


@pytest.mark.slow
@every_network
@pytest.mark.parametrize("policy", ADAPTERS)
def test_merged_is_an_equal_plain_network(policy: str, network: str) -> None:
    plain = NETWORKS[network]()
    names = list(plain.state_dict())
    method = make(plain, POLICIES[policy](), optimizer=Adam(0.05))
    trainer(1).fit(method, Toy())
    x = torch.rand(6, 1, 4, 4)
    backbone, other = method.backbone.eval(), merged(method.backbone)
    assert list(other.state_dict()) == names
    untouched = {key.replace(".base_layer", ""): value for key, value in backbone.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(x), backbone(x), rtol=1e-4, atol=1e-5)
        other.load_state_dict({key: untouched[key] for key in names})
        assert not torch.allclose(other(x), backbone(x), rtol=1e-3, atol=1e-3)  # which the adapters have changed


def test_adapters_are_read_in_evaluation_as_in_training() -> None:
    net = Transformer()
    make(net, LoRA())
    for name, parameter in net.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    x = torch.rand(3, 1, 4, 4)
    with torch.no_grad():
        without_gradients = net.eval()(x)
    torch.testing.assert_close(without_gradients, net(x).detach())


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_lora_trains_less_than_two_percent(name: str) -> None:
    from tlda.backbones import Timm

    method = make(Timm(name, weights=None), LoRA())
    method.current_epoch  # noqa: B018  (no trainer is needed for it)
    method.tuning.apply(method)
    sizes = {on: sum(p.numel() for p in method.backbone.parameters() if p.requires_grad is on) for on in (True, False)}
    assert 0 < sizes[True] < 0.02 * sizes[False]


def test_a_checkpoint_of_a_plain_network_starts_one_with_adapters(tmp_path: Path) -> None:
    source = make(Tiny(), None)
    run = trainer(1)
    run.fit(source, Toy())
    run.save_checkpoint(tmp_path / "source.ckpt")
    method = make(Tiny(), LoRA(), tlda.methods.FineTune, pretrain=0.0, init_from=str(tmp_path / "source.ckpt"))
    trainer().validate(method, Toy(), verbose=False)
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(value, merged(method.backbone).state_dict()[key])
    with pytest.raises(UserError, match=r"does not fit this network: 'backbone\.blocks_\.0\.0\.bias' is missing"):
        trainer().validate(make(Convolutions(), LoRA(), init_from=str(tmp_path / "source.ckpt")), Toy(), verbose=False)


@pytest.mark.parametrize("other", [None, LoRA(rank=3), IA3(), LoRA(target_modules=["layers.1"])], ids=["none", "rank", "kind", "layers"])
def test_a_checkpoint_with_adapters_starts_none_without_them(tmp_path: Path, other: Tuning | None) -> None:
    run = trainer(1)
    run.fit(make(Tiny(), LoRA(), tlda.methods.FineTune, pretrain=0.0), Toy())
    run.save_checkpoint(tmp_path / "adapted.ckpt")
    with pytest.raises(UserError, match=r"adapted.ckpt has adapters that this network has not, such as 'backbone.*: set --model.tuning"):
        trainer().validate(make(Tiny(), other, init_from=str(tmp_path / "adapted.ckpt")), Toy(), verbose=False)


@pytest.mark.parametrize(
    ("tuning", "sentence"),
    [
        (lambda: LastBlocks(0), "LastBlocks trains 0 blocks: it must be at least 1"),
        (lambda: Gradual(until=0.0), "Gradual has until 0.0"),
        (lambda: LPFT(share=1.0), "LPFT has share 1.0"),
        (lambda: LayerDecay(0.0), "LayerDecay has factor 0.0"),
        (lambda: StochNorm(2.0), "StochNorm has probability 2.0"),
        (lambda: LoRA(rank=0), "LoRA has rank 0"),
        (lambda: make(Tiny(), LoRA(target_modules=["layer.1"])), "LoRA finds no layer 'layer.1'"),
        (lambda: make(Tiny(), LoRA(target_modules=["layers.2"])), "LoRA cannot adapt these layers: .*set target_modules"),
        (lambda: merged(Tiny()), "this Tiny has no adapters to merge"),
    ],
)
def test_what_is_wrong_is_said(tuning: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        tuning()


def test_without_peft_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(UserError, match=r"LoRA needs peft, which is not installed: pip install 'tlda\[peft\]'"):
        make(Tiny(), LoRA())


# StochNorm


def test_stoch_norm_draws_a_statistic_a_channel() -> None:
    net = Convolutions(nn.BatchNorm2d)
    StochNorm(0.5).prepare(net)
    layer, x = net.blocks_[0][1], torch.randn(4, 6, 3, 3)  # type: ignore[index]
    reference = copy.deepcopy(layer)
    reference._forward_hooks.clear()
    by_batch, by_moving = reference(x), reference.eval()(x)
    torch.manual_seed(1)
    mixed = layer(x)
    chosen = [bool(torch.equal(mixed[:, c], by_moving[:, c])) for c in range(6)]
    assert 0 < sum(chosen) < 6
    assert all(torch.equal(mixed[:, c], by_batch[:, c]) for c in range(6) if not chosen[c])
    assert torch.equal(layer.running_mean, reference.running_mean)
    assert torch.equal(layer.eval()(x), by_moving)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_stoch_norm_at_its_ends(probability: float) -> None:
    net = Convolutions(nn.BatchNorm2d)
    plain = copy.deepcopy(net.blocks_[0][1])  # type: ignore[index]
    StochNorm(probability).prepare(net)
    layer = net.blocks_[0][1]  # type: ignore[index]
    outputs = []
    for _ in range(2):
        x = torch.randn(4, 6, 3, 3)
        outputs.append(layer(x))
        by_batch, by_moving = plain.train()(x), plain.eval()(x)
        torch.testing.assert_close(outputs[-1], by_moving if probability else by_batch)
    torch.stack(outputs).sum().backward()  # two passes before a backward one


# From YAML alone


ROWS = {
    "DANN with LoRA": ("dann", "lora"),
    "CDAN+E with gradual unfreezing": ("cdan_e", "gradual"),
}


def configuration(*names: str) -> dict[str, Any]:
    """The overlays of ``experiments`` one over the other."""
    return merge(*(read_yaml(REPO / "experiments" / f"{name}.yaml") for name in names))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_a_table_from_yaml_alone(row: str) -> None:
    method, tuning = ROWS[row]
    config = configuration("base/embedded", f"method/{method}", f"tuning/{tuning}")
    config["model"]["init_args"]["backbone"] = {"class_path": "tests.helpers.toy.Tiny"}
    config["data"] = {"class_path": "tests.helpers.toy.Toy", "init_args": {"steps": 2}}
    config["trainer"] = {"max_epochs": 2, "accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False}
    states = States()
    made, data, run = build(config, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0, callbacks=[states])
    run.fit(made, data)
    start, middle, end = states.seen
    weights = [key for key in start if key.endswith("weight") and start[key].ndim > 1]
    assert any(not torch.equal(middle[key], end[key]) for key in weights)
    assert any(torch.equal(start[key], middle[key]) for key in weights)


@pytest.mark.slow
def test_the_command_line_names_and_lists_it(tlda: Tlda, tmp_path: Path) -> None:
    listed = tlda("list", "tunings").out
    assert {line.split()[0] for line in listed.splitlines()[1:]} == set(subclasses(Tuning))
    fit = [
        "fit",
        "--model=DANN",
        "--model.backbone=tests.helpers.toy.Tiny",
        "--data=tests.helpers.toy.Toy",
        "--data.steps=2",
        "--trainer.max_epochs=1",
    ]
    done = tlda(*fit, "--model.tuning=LoRA", "--model.tuning.rank=3", "--trainer.enable_progress_bar=false")
    assert done.code == 0, done.err
    (path,) = Path("runs").rglob("last.ckpt")
    assert tlda("test", "--ckpt_path", path).code == 0
    loaded = load(path)
    assert isinstance(loaded.tuning, LoRA)
    assert loaded.backbone.layers[1].lora_A["default"].weight.shape == (3, 16)  # type: ignore[index, union-attr]
    wrong = tlda(*fit, "--model.tuning=Lora")
    assert wrong.sentences == ["tlda: unknown class 'Lora' of --model.tuning; did you mean 'LoRA'?"]
