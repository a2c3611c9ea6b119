"""CycleGAN and CyCADA: each part against a closed form or a loop by hand."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import interpolate, l1_loss

from tests.helpers.toy import CLASSES, Tiny, Toy, trainer
from tests.helpers.toys import Washed
from tlda.backbones import LeNet, Timm
from tlda.errors import UserError
from tlda.methods import CyCADA, CycleGAN
from tlda.optim import GanAdam, LinearDecay
from tlda.translation.cycle import ImagePool, Translator, averaged
from tlda.translation.generators import Generator, PatchCritic, ResNetGenerator, UNetGenerator, WarpedGenerator

BOTH = pytest.mark.parametrize("cls", [CycleGAN, CyCADA])
GENERATORS = [
    lambda **options: ResNetGenerator(4, 2, **options),
    lambda **options: UNetGenerator(4, **options),
    lambda **options: WarpedGenerator(UNetGenerator(4, **options)),
]
every_generator = pytest.mark.parametrize("make", GENERATORS, ids=["resnet", "unet", "warped"])


def small(**options: Any) -> Translator:
    return Translator(UNetGenerator(4), critic_width=4, **options)


def method_of(cls: type[CycleGAN] = CycleGAN, **options: Any) -> CycleGAN:
    seed_everything(0, verbose=False)
    return cls(**{"backbone": Tiny(), "task": CLASSES, "translator": small(), **options})


def built(translator: Translator, size: int = 16) -> Translator:
    torch.manual_seed(0)
    translator.build(LeNet(1, size, 8), nn.Identity(), nn.Linear(8, 3), 8)
    return translator


def images(n: int = 6, size: int = 16, channels: int = 1) -> Tensor:
    return torch.rand(n, channels, size, size)


# The networks


@every_generator
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 33), (1, 4), (3, 64)])
def test_a_generator_keeps_shape_and_range(make: Callable[..., Generator], channels: int, size: int) -> None:
    generator = make()
    generator.build(channels, size)
    x = images(2, size, channels)
    made = generator(x)
    assert made.shape == x.shape
    assert 0 <= made.min() <= made.max() <= 1
    made.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())


@every_generator
def test_checkpointing_keeps_less_and_changes_no_gradient(make: Callable[..., Generator]) -> None:
    kept, gradients = [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        generator = make(checkpointing=checkpointing)
        generator.build(1, 32)
        sizes: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: (sizes.update({t.data_ptr(): t.nbytes}), t)[1], lambda t: t):  # type: ignore[misc]
            made = generator(images(4, 32).requires_grad_())
        kept.append(sum(sizes.values()))
        gradients.append(grad(made.square().mean(), list(generator.parameters())))
    for plain, again in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, again)
    assert kept[1] < 0.8 * kept[0]


def test_a_warp_begins_as_none_and_learns_a_scale() -> None:
    class Plain(Generator):
        """The image itself."""

        def build(self, channels: int, size: int) -> None:
            pass

        def translate(self, x: Tensor) -> Tensor:
            return x

    generator = WarpedGenerator(Plain())
    generator.build(1, 16)
    small = torch.zeros(4, 1, 16, 16)
    small[:, :, 4:12, 4:12] = images(4, 8)
    torch.testing.assert_close(generator.translate(small), small, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        generator.matrix.mul_(0.5)
    torch.testing.assert_close(generator.translate(small)[:, :, 1:15, 1:15], resized(small)[:, :, 1:15, 1:15], rtol=1e-4, atol=1e-5)
    generator.translate(small).sum().backward()
    assert generator.matrix.grad is not None
    assert generator.matrix.grad.abs().min() > 0


def resized(x: Tensor) -> Tensor:
    """The middle of images (n, c, 16, 16), at twice the size."""
    return interpolate(x[:, :, 3:13, 3:13], (20, 20), mode="bilinear")[:, :, 2:18, 2:18]


@pytest.mark.parametrize(("size", "patch"), [(4, 1), (13, 16), (16, 16), (28, 34), (56, 70), (256, 70)])
def test_a_patch_has_as_many_pixels_as_it_says(size: int, patch: int) -> None:
    critic = PatchCritic(1, size, 2)
    side = max(size, 2 * patch)
    for layer in critic.modules():  # what a score reaches back to, whatever the weights: all of them 1, and nothing normalised
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
    plain = nn.Sequential(*(layer for layer in critic.net if isinstance(layer, nn.Conv2d)))
    x = torch.zeros(1, 1, side, side, requires_grad=True)
    scores = plain(x)
    seen = grad(scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2], x)[0][0, 0] != 0
    assert (seen.any(0).sum(), seen.any(1).sum()) == (patch, patch)  # type: ignore[comparison-overlap]
    assert critic(images(2, size)).shape[:2] == (2, 1)


# The pool, the average, the losses


def test_a_pool_hands_out_old_images_half_of_the_time() -> None:
    torch.manual_seed(0)
    pool, first = ImagePool(50), torch.arange(50.0).view(-1, 1, 1, 1)
    assert torch.equal(pool(first), first), "an empty pool keeps what comes in, and hands it out"
    old, ages = [], []
    for i in range(1, 400):
        x = torch.arange(50.0 * i, 50.0 * i + 10).view(-1, 1, 1, 1)
        out = pool(x)
        old.append((out != x).float().mean())
        ages += [float(i - number // 50) for number in out[out != x].tolist() if number >= 50]
        everything = torch.cat((pool.images, out)).unique()
        assert len(everything) == 60, "no image is lost or doubled"
    assert torch.stack(old).mean() == pytest.approx(0.5, abs=0.03)
    # 5 of 50 places change hands at a time: an image stays for ten batches in the mean.
    assert sum(ages) / len(ages) == pytest.approx(10, rel=0.15)


def test_a_pool_is_in_the_state_and_an_empty_one_hands_through() -> None:
    pool, other = ImagePool(4), ImagePool(4)
    pool(images(3))
    other.load_state_dict(pool.state_dict())
    assert torch.equal(other.images, pool.images)
    x = images(9)
    assert torch.equal(ImagePool(0)(x), x)
    with pytest.raises(UserError, match="pool's size is -1"):
        ImagePool(-1)


def test_the_average_forgets_the_start_and_then_keeps_its_decay() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = averaged(module, 0.9)
    expected, decays = None, [(1 + n) / (10 + n) for n in range(200)]
    for n, value in enumerate(torch.linspace(0, 1, 150).tolist()):
        nn.init.constant_(module.weight, value)
        average.update_parameters(module)
        decay = min(0.9, decays[n])
        expected = value if expected is None else decay * expected + (1 - decay) * value
    assert average.module.weight.item() == pytest.approx(expected, rel=1e-4)  # type: ignore[operator]
    assert not any(p.requires_grad for p in average.parameters())


def test_the_terms_are_those_of_the_paper() -> None:
    translator = built(small(cycle=7.0, identity=0.3, pool=0))
    source, target = images(), images(4)
    made = translator.make(source, target)
    terms = translator.generator_terms(made)
    there, back = (lambda x, g=translator.generators[way]: g(x) for way in ("to_target", "to_source"))
    scale = [2 * x - 1 for x in (source, target)]
    cycled = [2 * x - 1 for x in (back(there(source)), there(back(target)))]
    own = [2 * x - 1 for x in (back(source), there(target))]
    torch.testing.assert_close(terms["cycle"], 7.0 * sum(l1_loss(x, y) for x, y in zip(cycled, scale, strict=True)))
    torch.testing.assert_close(terms["identity"], 2.1 * sum(l1_loss(x, y) for x, y in zip(own, scale, strict=True)))
    torch.testing.assert_close(terms["adversarial_target"], (translator.critics["target"](there(source)) - 1).square().mean())
    wanted = (translator.critics["source"](source) - 1).square().mean() + translator.critics["source"](back(target)).square().mean()
    torch.testing.assert_close(translator.critic_terms(made)["source_critic"], wanted / 2)
    assert "identity" not in built(small(identity=0.0)).generator_terms(made)


def test_a_hinge_is_used_where_it_is_asked_for() -> None:
    translator = built(small(adversary="hinge", pool=0))
    made = translator.make(images(), images(4))
    critic = translator.critics["target"]
    real, fake = critic(made.target), critic(made.to_target.detach())
    torch.testing.assert_close(translator.generator_terms(made)["adversarial_target"], -fake.mean())
    torch.testing.assert_close(translator.critic_terms(made)["target_critic"], ((1 - real).relu().mean() + (1 + fake).relu().mean()) / 2)


def test_images_are_translated_channels_last_and_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    translator = built(small(), 16)
    nets = nn.ModuleList([translator.generators, translator.critics, translator.averages])
    convolutions = [m.weight for m in nets.modules() if isinstance(m, nn.Conv2d) and m.in_channels > 1 and m.kernel_size != (1, 1)]
    assert convolutions
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in convolutions)
    translator.judge.taken.fill_(True)
    x, sizes = images(7), []
    whole = translator(x)
    translator.averages["to_target"].register_forward_hook(lambda _, args, __: sizes.append(len(args[0])))
    monkeypatch.setattr("tlda.translation.cycle.PIXELS", 3 * 16 * 16)
    torch.testing.assert_close(translator(x), whole)
    assert sizes == [3, 3, 1]


def test_generators_move_no_critic_and_critics_no_generator() -> None:
    translator = built(small())
    made = translator.make(images(), images())
    sum(translator.generator_terms(made).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None for p in translator.critics.parameters())
    assert all(p.requires_grad for p in translator.critics.parameters())
    assert all(p.grad is not None for p in translator.generators.parameters())
    translator.zero_grad()
    sum(translator.critic_terms(made).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad is None for p in translator.generators.parameters())
    assert all(p.grad is not None for p in translator.critics.parameters())


def test_the_rate_falls_on_a_line_from_half_way_on() -> None:
    assert [LinearDecay()(p) for p in (0.0, 0.5, 0.75, 1.0)] == pytest.approx([1.0, 1.0, 0.5, 0.0])
    assert GanAdam()([{"params": nn.Linear(1, 1).parameters(), "lr_multiplier": 1.0}]).defaults["betas"] == (0.5, 0.999)
    with pytest.raises(UserError, match="starts at 1"):
        LinearDecay(1.0)


# The methods


class Watch(Callback):
    """The judge, and how well each domain's critic tells its images from made ones, after each step."""

    def __init__(self) -> None:
        self.judges: list[dict[str, Tensor]] = []
        self.told: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        translator = pl_module.translator
        self.judges.append(copy.deepcopy(translator.judge.state_dict()))
        made = translator.make(batch.source.x, batch.target.x)
        real, fake = (translator.critics["target"](x).mean((1, 2, 3)) for x in (made.target, made.to_target))
        self.told.append((real[:, None] > fake).float().mean().item())


@pytest.mark.slow
@BOTH
def test_the_judge_is_the_classifier_of_the_source_and_stays(cls: type[CycleGAN]) -> None:
    method, watch = method_of(cls, pretrain=0.25), Watch()
    trainer(callbacks=[watch]).fit(method, Toy())
    taken = [bool(state["taken"]) for state in watch.judges]
    assert taken == [False] * 3 + [True] * 9
    assert not torch.equal(watch.judges[0]["copy.0.layers.1.weight"], watch.judges[3]["copy.0.layers.1.weight"])
    for state in watch.judges[4:]:
        assert all(torch.equal(value, watch.judges[3][key]) for key, value in state.items())
    x = torch.rand(5, 1, 4, 4)
    assert torch.equal(method.train().translator.judge(x).logits, method.eval().translator.judge(x).logits), "it has no dropout"
    assert not torch.equal(watch.judges[3]["copy.2.weight"], method.head.weight), "the classifier itself went on"


@pytest.mark.slow
def test_critics_tell_made_images_apart_until_the_generators_fool_them() -> None:
    told = []
    for rate in (0.0, 1.0):
        translator = Translator(ResNetGenerator(4, 1), critic_width=8, identity=0.0, cycle=1.0)
        method, watch = (
            method_of(translator=translator, pretrain=0.0, task=4),
            Watch(),
        )
        groups = list(method.translator.groups())
        method.translator.groups = lambda groups=groups, rate=rate: [  # type: ignore[assignment, method-assign, misc]
            {**g, "lr_multiplier": rate if g["name"] == "generators" else 1.0} for g in groups
        ]
        method.gan = GanAdam(0.01)
        trainer(1, limit_val_batches=0, callbacks=[watch]).fit(method, Washed(steps=60))
        told.append(watch.told)
    alone, both = told
    print(f"undisturbed {min(alone[-10:]):.2f}, with generators {min(both[-20:]):.2f}")
    assert min(alone[-10:]) > 0.95
    assert min(both[-20:]) < 0.7


def test_semantic_consistency_moves_the_generators_and_not_the_judge() -> None:
    method = method_of(CyCADA, semantic=3.0)
    method.translator.begin(method)
    data = Toy()
    data.setup("fit")
    x, y = (data.prepare(rows[torch.arange(8)]).x for rows in (data.training_rows()["source"], data.training_rows()["target"]))
    term = method.translation_terms(method.translator.make(x, y))["semantic"]
    term.backward()
    assert all(p.grad is None for p in method.translator.judge.parameters())
    assert all(p.grad is not None for p in method.translator.generators.parameters())


@pytest.mark.slow
def test_the_second_stage_of_cycada_aligns_features_and_leaves_the_generators() -> None:
    class States(Callback):
        def __init__(self) -> None:
            self.seen: list[tuple[Tensor, Tensor]] = []

        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            parts = pl_module.translator.generators, pl_module.losses
            self.seen.append(tuple(torch.cat([p.detach().flatten().clone() for p in part.parameters()]) for part in parts))  # type: ignore[arg-type]

    method, states = method_of(CyCADA, pretrain=0.0, pixel=0.5, hidden=4), States()
    trainer(callbacks=[states]).fit(method, Toy())
    moved = [[not torch.equal(a[i], b[i]) for a, b in zip(states.seen, states.seen[1:], strict=False)] for i in (0, 1)]
    assert moved[0] == [True] * 5 + [False] * 6
    assert moved[1] == [False] * 5 + [True] * 6


@pytest.mark.slow
def test_each_epoch_measures_the_translation_without_a_label() -> None:
    class Blind(Toy):
        """The toy whose target has no labels."""

        def load(self) -> Any:
            source, target = super().load()
            target.train.labels = torch.full_like(target.train.labels, -1)  # type: ignore[misc]
            target.labelled = False
            return source, target

    names = {f"val/translation/{name}" for name in ("frechet", "kernel", "semantic")}
    values = []
    for data in (Toy(), Blind()):
        run = trainer()
        run.fit(method_of(), data)
        values.append({name: run.callback_metrics[name].item() for name in names})
    assert values[0] == pytest.approx(values[1])
    assert "oracle/target/accuracy" not in run.callback_metrics
    assert 0 <= values[0]["val/translation/semantic"] <= 1


@pytest.mark.slow
def test_a_label_free_measure_chooses_the_checkpoint_and_stops(tmp_path: Path) -> None:
    class Curve(Callback):
        def __init__(self) -> None:
            self.values: list[float] = []

        def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
            self.values.append(trainer.callback_metrics[NAME].item())

    NAME = "val/translation/kernel"
    keep, curve = ModelCheckpoint(tmp_path, filename="{epoch}", monitor=NAME), Curve()
    stop = EarlyStopping(NAME, patience=1, min_delta=100.0)  # no gain counts
    run = trainer(6, enable_checkpointing=True, callbacks=[curve, keep, stop])
    run.fit(method_of(pretrain=0.0), Toy())
    assert len(curve.values) == 2
    assert keep.best_model_path.endswith(f"epoch={curve.values.index(min(curve.values))}.ckpt")
    for callback in (ModelCheckpoint(tmp_path, monitor=NAME), EarlyStopping(NAME)):
        with pytest.raises(UserError, match=f"{type(callback).__name__} follows '{NAME}', which is measured once"):
            trainer(enable_checkpointing=True, callbacks=[callback]).fit(method_of(), Toy())


def test_a_stage_that_never_comes_is_refused() -> None:
    with pytest.raises(UserError, match=r"pixel is 0.1 and --model.pretrain 0.1: the second stage begins once the classifier is trained"):
        method_of(CyCADA, pixel=0.1)
    with pytest.raises(UserError, match=r"pretrain of CycleGAN is 1.5: it must be from 0 to 1"):
        trainer().fit(method_of(pretrain=1.5), Toy())


def test_images_that_do_not_suit_end_the_run_at_once() -> None:
    method = method_of(translator=small(size=8))
    with pytest.raises(UserError, match="for images of 8 x 8, these are 4 x 4"):
        trainer().fit(method, Toy())
    assert method.progress == 0


@pytest.mark.slow
def test_a_checkpoint_in_mid_run_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    options: dict[str, Any] = {"translator": small(pool=8), "gan": GanAdam(1e-3), "pretrain": 0.0}
    whole = method_of(**copy.deepcopy(options))
    keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    trainer(3, enable_checkpointing=True, callbacks=[keep]).fit(whole, Toy())
    saved = torch.load(tmp_path / "epoch=1.ckpt", weights_only=True)
    assert len(saved["optimizer_states"]) == 4
    assert saved["state_dict"]["translator.pools.source._extra_state"].shape == (8, 1, 4, 4)
    resumed = method_of(**copy.deepcopy(options))
    trainer(3).fit(resumed, Toy(), ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True)
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@pytest.mark.slow
def test_generators_are_for_the_images_that_a_pretrained_network_was_trained_at() -> None:
    vit = Timm("test_vit", weights=None)  # at 160 x 160
    translator = small()
    translator.build(vit, nn.Identity(), nn.Linear(vit.num_features, 3), vit.num_features)
    assert len(translator.generators["to_target"].downs) == math.ceil(math.log2(160 / 4)) - 1  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"for images of 160 x 160, these are 32 x 32: set --model.translator.size 32"):
        translator.make(images(2, 32, 3), images(2, 32, 3))


def test_images_that_no_generator_was_made_for_are_named() -> None:
    method = method_of()
    with pytest.raises(UserError, match=r"one shape with 1 channel\(s\), and these are \(1, 4, 4\) and \(1, 5, 5\)"):
        method.translator.make(images(2, 4), images(2, 5))
    with pytest.raises(UserError, match=r"with 1 channel\(s\), and these are \(3, 4, 4\)"):
        method.translator.make(images(2, 4, 3), images(2, 4, 3))
    with pytest.raises(UserError, match=r"for images of 4 x 4, these are 8 x 6: set --model.translator.size 8"):
        method.translator.make(torch.rand(2, 1, 8, 6), torch.rand(2, 1, 8, 6))
    with pytest.raises(UserError, match="width is 0"):
        UNetGenerator(0)


def test_a_checkpoint_of_another_generator_is_told_in_a_sentence(tmp_path: Path) -> None:
    run = trainer(1)
    run.fit(method_of(), Toy())
    run.save_checkpoint(tmp_path / "a.ckpt")
    other = method_of(translator=Translator(UNetGenerator(6), critic_width=4))
    with pytest.raises(
        UserError, match=r"another network: 'translator.generators.to_target.first.0.weight' is \(4, 1, 3, 3\) in it, not \(6"
    ):
        trainer().fit(other, Toy(), ckpt_path=tmp_path / "a.ckpt", weights_only=True)


def test_the_first_stage_of_cycada_shows_the_target_to_no_batchnorm() -> None:
    statistics = []
    backbone = Tiny(dropout=0.0)
    for cls, options in ((CycleGAN, {}), (CyCADA, {"pixel": 1.0})):
        method = method_of(cls, backbone=copy.deepcopy(backbone), pretrain=0.9, **options)
        trainer(1, limit_val_batches=0).fit(method, Toy(shift=100.0))
        statistics.append([buffer for name, buffer in method.backbone.named_buffers() if "running" in name])
    assert statistics[0]
    assert all(torch.equal(one, other) for one, other in zip(*statistics, strict=True))
