"""The contract, over every method that there is: discovered, not listed."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.plugins import MixedPrecision
from torch import Tensor

import tlda.methods
from tests.helpers.ddp import MAPS, run_ddp
from tests.helpers.toy import CLASSES, Tiny, Toy, backbone_of, toy_of, trainer
from tests.helpers.toys import Noise
from tests.methods.test_learning import UNSUPERVISED
from tlda.batch import OracleBatch, Output, Pair, SourceBatch, TargetBatch
from tlda.errors import UserError, subclasses
from tlda.losses import BSS, CORAL, MMD, DeepJDOT, DomainAdversarial, Loss
from tlda.method import Method
from tlda.methods.base import ManualMethod
from tlda.methods.pretraining.base import Pretraining
from tlda.nn import BatchNormUse, batch_norms
from tlda.nn.region_head import RegionHead
from tlda.optim import SGD, Adam
from tlda.training.finite import FiniteWatch

METHODS = {name: cls for name, cls in subclasses(Method).items() if cls.__module__.startswith("tlda.methods")}
PRETRAINING = {name for name, cls in METHODS.items() if issubclass(cls, Pretraining)}
"""What learns features alone, and is shown to be alive and to learn in test_pretraining."""
NARROW: dict[str, Any] = {"hidden": 16, "width": 8, "views": [Noise(0.3)]}


def narrow(cls: type) -> dict[str, Any]:
    """The options that make a method before the task as small as the toy."""
    named = {name for part in cls.__mro__ if "__init__" in vars(part) for name in inspect.signature(part).parameters}
    return {name: value for name, value in NARROW.items() if name in named} if issubclass(cls, Pretraining) else {}


VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {name: (cls, narrow(cls)) for name, cls in METHODS.items()}
VARIANTS |= {"CDAN+E": (tlda.methods.CDAN, {"entropy": True}), "AdvEnt": (tlda.methods.AdvEnt, {"width": 4, "layers": 2})}
VARIANTS["DAFasterRCNN"] = (tlda.methods.DAFasterRCNN, {"hidden": 8, "regions": 6})
every_method = pytest.mark.parametrize("name", VARIANTS)


def make(name: str, **options: Any) -> Method:
    cls, own = VARIANTS[name]
    seed_everything(0, verbose=False)
    method: Method = cls(backbone=backbone_of(cls), task=toy_of(cls).task, **{**own, **options})
    if method.batch_type is TargetBatch and method.init_from is None:
        return make(name, **options, init_from=source_checkpoint())  # it never sees the source, so it starts from a network that did
    return method


FOLDER = tempfile.TemporaryDirectory()


@functools.cache
def source_checkpoint() -> str:
    """A network trained on the source of the toy."""
    with torch.random.fork_rng():
        run = trainer(10)
        run.fit(make("SourceOnly", optimizer=Adam(lr=0.01)), Toy())
        run.save_checkpoint(path := f"{FOLDER.name}/source.ckpt")
    return path


class Start(Callback):
    """Keeps the state that training starts from: that of ``init_from`` where there is one."""

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.state = copy.deepcopy(pl_module.state_dict())


class Fitted(NamedTuple):
    run: Trainer
    method: Method
    before: dict[str, torch.Tensor]
    frozen: set[str]


@functools.cache
def fitted(name: str) -> Fitted:
    """A run, the method that it trained, the state that this started from, and the parameters that its constructor froze."""
    method, start = make(name), Start()
    frozen = {key for key, value in method.named_parameters() if not value.requires_grad}
    run = trainer(callbacks=[start])
    run.fit(method, toy_of(type(method)))
    return Fitted(run, method, start.state, frozen)


def batch_of(method: Method, n: int = 12) -> Any:
    data = toy_of(type(method))
    data.setup("fit")
    rows = torch.arange(n)
    fields = {field: data.prepare(data.training_rows()[field][rows]) for field in method.batch_type._fields}  # type: ignore[attr-defined]
    return method.batch_type(**fields)


def flags(method: Method) -> list[Any]:
    """The mode of each part, and what is trained of it."""
    return [
        (part.training, [parameter.requires_grad for parameter in part.parameters()])
        for name, part in method.named_modules()
        if not name.startswith("measures")
    ]


def test_every_file_is_a_method() -> None:
    bases = {
        "__init__",
        "base",
        "several_sources",
        "unknown_class",
        "two_networks",
        "penalised",
        "source_critics",
        "taught",
        "mean_teacher",
        "at_test",
        "source_free",
        "neighbours",
        "weighted",
        "from_pairs",
    }
    files = {path.stem for path in Path(tlda.methods.__file__).parent.rglob("*.py")} - bases
    assert files == {cls.__module__.rsplit(".", 1)[1] for cls in METHODS.values()}


@pytest.mark.slow
@every_method
def test_parameters_move_and_loss_is_finite(name: str) -> None:
    _, method, before, _ = fitted(name)
    after = method.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    still = {key for key, value in method.named_parameters() if value.requires_grad and torch.equal(before[key], after[key])}
    # Of a bias before BatchNorm the gradient is rounding alone, which is lost where it is added to the weight.
    assert not still - ({"network.backbone.layers.1.bias"} if name == "Reptile" else set())


@every_method
def test_frozen_parameters_stay_bit_for_bit(name: str) -> None:
    _, method, before, frozen = fitted(name)
    after = method.state_dict()
    moved = {
        key for key in frozen if not torch.equal(before[key], after[key]) and not key.startswith("worth.probe.")
    }  # fitted, see test_probing
    assert not {key for key in moved if key.startswith("network.")}
    # A copy beside the network, such as a teacher, may be written to: when, a test of the method's own says.
    own = (path for path in Path(__file__).parent.glob("test_*.py") if path.stem not in ("test_contract", "test_learning", "test_liveness"))
    assert not moved or any(type(method).__name__ in path.read_text() for path in own), moved


@pytest.mark.slow
@every_method
def test_bf16_trains(name: str) -> None:
    method = make(name)
    run = trainer(1, precision="bf16-mixed", limit_val_batches=0)
    run.fit(method, toy_of(type(method)))
    found, least = run.test(method, toy_of(type(method)), verbose=False)[0], 0.2
    if method.task.headline == "ap50":
        found, least = {"test/source/accuracy": found["test/source/ap50"]}, -0.1  # so few steps find no box
    assert found["test/source/accuracy"] > least


@every_method
def test_alignment_moves_the_features(name: str) -> None:
    method = make(name)
    method.progress = 0.5
    batch = batch_of(method)
    features = [output.features.detach().requires_grad_() for output in method.forward_pair(batch)]
    # A detector's head reads images too, and has no output in training.
    source, target = (Output(f, f[:, :0] if isinstance(method.head, RegionHead) else method.head(f)) for f in features)
    # What aligns by no added loss is shown to be alive in test_liveness, by what the target does to its network; what takes texts, or
    # has a discriminator of regions, in tests of its own.
    elsewhere = name in UNSUPERVISED or name in PRETRAINING or type(method).__name__ in ("DAFasterRCNN", "DAPL", "MLM")
    assert method.losses or elsewhere or "target" not in method.batch_type._fields  # type: ignore[attr-defined]
    for key, loss in method.losses.items():
        looked_at = features[1 if loss.sees_target and "target" in method.batch_type._fields else 0]  # type: ignore[attr-defined]
        gradient = torch.autograd.grad(loss.term(batch, source, target, 0.5), looked_at, retain_graph=True)[0]  # type: ignore[operator]
        assert gradient.abs().max() > 0, key


@pytest.mark.slow
@every_method
def test_checkpoint_round_trip(name: str, tmp_path: Path) -> None:
    run, method, *_ = fitted(name)
    run.save_checkpoint(tmp_path / "a.ckpt")
    other = make(name)
    before = flags(other)
    trainer().test(other, toy_of(type(other)), ckpt_path=tmp_path / "a.ckpt", verbose=False, weights_only=True)
    for key, value in method.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key  # nor has the test itself moved anything
    assert flags(other) == before


class Counted(Loss):
    """A loss of nothing that counts its calls."""

    calls = 0

    def forward(self, batch: Any, source: Output, target: Output, progress: float) -> Tensor:
        self.calls += 1
        return 0.0 * (source.features.sum() + target.features.sum())


class CountedOnSource(Counted):
    sees_target = False


@pytest.mark.slow
@every_method
def test_an_added_loss_is_asked_in_every_batch_or_refused(name: str) -> None:
    if getattr(VARIANTS[name][0], "takes_no_loss", ""):
        for kind in (Counted, CountedOnSource):
            with pytest.raises(UserError, match=r"--model\.plus"):
                make(name, plus=[kind()])
        return
    # One that looks at the target is asked from the stage on in which the method does, so that stage is the whole run here.
    stages = {"pretrain", "pixel"} & set(inspect.signature(VARIANTS[name][0]).parameters)
    runs: list[tuple[list[Counted], dict[str, Any]]] = [([Counted(), CountedOnSource()], dict.fromkeys(stages, 0.0))]
    if stages:
        runs.append(([CountedOnSource()], {}))
    for losses, options in runs:
        method = make(name, plus=losses, **options)
        trainer(1, limit_val_batches=0).fit(method, toy_of(type(method)))
        assert {loss.calls for loss in losses} == {6}


@pytest.mark.parametrize("name", ["FineTune", "Oracle"])
def test_a_loss_that_compares_domains_is_refused_where_there_is_one_at_a_time(name: str) -> None:
    for loss in (MMD(), CORAL(), DomainAdversarial(), DeepJDOT()):
        with pytest.raises(UserError, match=rf"{name} trains on one domain at a time.*'{loss.short_name()}' compares two.*--model\.plus"):
            make(name, plus=[loss])
    assert "bss" in make(name, plus=[BSS()]).losses


def progress_seen(**options: Any) -> list[float]:
    """The progress of each batch of a run, of which an epoch has six."""
    seen: list[float] = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            seen.append(pl_module.progress)

    trainer(-1, callbacks=[Watch()], limit_val_batches=0, **options).fit(make("SourceOnly"), Toy())
    return seen


@pytest.mark.parametrize(("steps", "batches"), [(1, 4), (5, 16), (6, 18)])
def test_progress_counts_batches_where_a_step_takes_several(steps: int, batches: int) -> None:
    # Of an epoch's six batches four make its first step, and two its second.
    assert progress_seen(max_steps=steps, accumulate_grad_batches=4) == pytest.approx([i / batches for i in range(batches)])


def test_steps_of_a_methods_own_give_no_length() -> None:
    with pytest.raises(UserError, match=r"MCD makes optimizer steps of its own.*--trainer\.max_epochs"):
        trainer(-1, max_steps=42).fit(make("MCD"), Toy())
    trainer(1, fast_dev_run=True).fit(make("MCD"), Toy())


class Gradients(Callback):
    """The gradients before they are clipped, and those that the step is made with."""

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
        self.weights = [parameter.detach().clone() for parameter in pl_module.parameters()]
        self.whole = [parameter.grad.clone() for parameter in pl_module.parameters()]

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.clipped = [parameter.grad.clone() for parameter in pl_module.parameters()]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_gradients_are_clipped_as_by_hand(precision: str) -> None:
    # On a processor Lightning takes bfloat16 for float16, unless it is given the plugin; the scale is one that does not overflow.
    scaled = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=256.0))
    options: dict[str, Any] = {"plugins": scaled} if precision == "16-mixed" else {"precision": precision}
    method, seen = make("DANN", optimizer=SGD(0.5, weight_decay=0.0, momentum=0.0, nesterov=False)), Gradients()
    trainer(1, gradient_clip_val=0.1, callbacks=[seen], **options).fit(method, Toy(steps=1))
    by_hand = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in seen.whole]
    for parameter, gradient in zip(by_hand, seen.whole, strict=True):
        parameter.grad = gradient.clone()
    assert torch.nn.utils.clip_grad_norm_(by_hand, 0.1) > 0.2
    after = list(method.parameters())
    for parameter, clipped, before, now in zip(by_hand, seen.clipped, seen.weights, after, strict=True):
        torch.testing.assert_close(clipped, parameter.grad)
        torch.testing.assert_close(now.detach(), before - 0.5 * clipped)


def test_the_term_that_was_not_finite_first_is_named_among_those_of_several_optimizers() -> None:
    class OnAccelerator:
        device = torch.device("meta")  # anything but a processor, where nothing is remembered

    watch, good, bad = FiniteWatch(), torch.tensor(1.0), torch.tensor(float("nan"))
    total: Any = OnAccelerator()
    watch.check({"critic": good, "penalty": good}, total, False, "step 0")
    watch.check({"task": bad, "wasserstein": good}, total, False, "step 0")
    with pytest.raises(UserError, match=r"the loss 'task' is not finite at step 1"):
        watch.check({"critic": bad, "penalty": bad}, total, True, "step 1")


def test_progress_follows_the_length_of_the_run_and_the_ramp_resumes() -> None:
    seen: list[float] = []

    class Watch(DomainAdversarial):
        def forward(self, batch: Any, source: Any, target: Any, progress: float) -> Any:
            seen.append(progress)
            return super().forward(batch, source, target, progress)

    method = make("SourceOnly", plus=[Watch()])
    assert method.batch_type is Pair
    trainer(3).fit(method, Toy())
    assert seen == pytest.approx([i / 18 for i in range(18)])


def test_learning_rates_follow_schedule_and_multipliers() -> None:
    from tlda.optim import InverseDecay

    method = make("DANN", optimizer=SGD(lr=0.1), schedule=InverseDecay(), lr_multipliers={"backbone": 0.1})
    run = trainer(2)
    run.fit(method, Toy())
    rates = {group["name"]: group["lr"] for group in run.optimizers[0].param_groups}
    factor = (1 + 10 * 11 / 12) ** -0.75
    assert rates == pytest.approx({"backbone": 0.01 * factor, "head": 0.1 * factor, "losses": 0.1 * factor})
    with pytest.raises(UserError, match="lr_multipliers"):
        make("DANN", lr_multipliers={"backbones": 0.1}).configure_optimizers()


def test_critic_loss_is_not_scaled_by_the_ramp() -> None:
    method = make("DANN")
    batch = batch_of(method)
    at = {}
    for progress in (0.0, 1.0):
        method.progress = progress
        terms = method.objective(batch, *method.eval().forward_pair(batch))
        parameters = list(method.losses.parameters())
        features = list(method.backbone.parameters())
        at[progress] = torch.autograd.grad(terms["domain"], parameters + features)
    critics = len(list(method.losses.parameters()))
    for early, late in zip(at[0.0][:critics], at[1.0][:critics], strict=True):
        torch.testing.assert_close(early, late)
    assert all(g.abs().max() == 0 for g in at[0.0][critics:])
    assert any(g.abs().max() > 0 for g in at[1.0][critics:])


def test_batch_types_have_no_target_label() -> None:
    assert make("DANN").batch_type is Pair
    assert make("SourceOnly").batch_type is SourceBatch
    assert make("Oracle").batch_type is OracleBatch
    assert not hasattr(batch_of(make("DANN")).target, "y")


def forwarded(batchnorm: BatchNormUse | None) -> tuple[Any, Method]:
    """A batch, and a method whose network it went through in training, as ``batchnorm`` says."""
    seed_everything(0, verbose=False)
    method = tlda.methods.DANN(backbone=Tiny(dropout=0.0), task=CLASSES, batchnorm=batchnorm)
    return batch_of(method), method


@pytest.mark.parametrize("use", ["separate", "target"])
def test_separate_batchnorm_sees_each_domain_for_itself(use: BatchNormUse) -> None:
    batch, method = forwarded(use)
    source, target = method.forward_pair(batch)
    torch.testing.assert_close(source.features, method(batch.source.x).features)
    torch.testing.assert_close(target.features, method(batch.target.x).features)
    joint, _ = forwarded(None)[1].forward_pair(batch)
    assert not torch.allclose(joint.features, source.features)


def test_the_running_statistics_are_of_both_domains_or_of_the_target() -> None:
    def running(use: BatchNormUse, *domains: str) -> Tensor:
        """The running mean after a step, or after ``domains`` went through one by one."""
        batch, method = forwarded(use)
        if domains:
            for domain in domains:
                method(getattr(batch, domain).x)
        else:
            method.forward_pair(batch)
        return batch_norms(method)[0].running_mean  # type: ignore[return-value]

    torch.testing.assert_close(running("separate"), running("separate", "source", "target"))
    torch.testing.assert_close(running("target"), running("separate", "target"))


def test_steps_that_decide_batchnorm_refuse_another() -> None:
    assert tlda.methods.MCD(backbone=Tiny(), task=CLASSES, batchnorm="separate").batchnorm == "separate"
    with pytest.raises(UserError, match=r"--model.batchnorm is joint, and the steps of ADDA are separate: leave it out"):
        tlda.methods.ADDA(backbone=Tiny(), task=CLASSES, batchnorm="joint")


def test_fine_tune_uses_source_then_few_target_labels() -> None:
    method = make("FineTune")
    batch = batch_of(method)
    method.progress = 0.0
    assert torch.equal(method.eval().forward_pair(batch)[0].logits, method(batch.source.x).logits)
    method.progress = 0.6
    assert torch.equal(method.forward_pair(batch)[0].logits, method(batch.labelled.x).logits)
    data = Toy(shots=2)
    data.setup("fit")
    assert data.training_rows()["labelled"].labels.bincount().tolist() == [2, 2, 2]


def test_fine_tuning_from_a_checkpoint(tmp_path: Path) -> None:
    source = make("SourceOnly")
    run = trainer()
    run.fit(source, Toy())
    run.save_checkpoint(tmp_path / "source.ckpt")
    method = make("FineTune", pretrain=0.0, init_from=str(tmp_path / "source.ckpt"))
    trainer().validate(method, Toy(), verbose=False)
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(value, method.backbone.state_dict()[key])


def test_several_optimizers_refuse_float16() -> None:
    method = make("DANN")

    class FakeTrainer:
        precision, optimizers = "16-mixed", (1, 2)

    method._trainer = FakeTrainer()  # type: ignore[assignment]
    with pytest.raises(UserError, match="bf16-mixed"):
        method.on_fit_start()


def test_losses_work_in_ones_own_loop() -> None:
    loss = DomainAdversarial(hidden=8)
    loss.build(8, CLASSES)
    method = make("SourceOnly")
    batch = batch_of(make("DANN"))
    term = loss.term(None, method(batch.source.x), method(batch.target.x), progress=1.0)  # type: ignore[arg-type]
    term.backward()
    assert any(p.grad.abs().max() > 0 for p in method.backbone.parameters() if p.grad is not None)


@pytest.mark.slow
def test_two_processes_see_each_row_once_and_end_as_one_does(tmp_path: Path) -> None:
    states = []
    for devices in (1, 2):
        (folder := tmp_path / str(devices)).mkdir()
        # Not with Adam, which makes a whole step of a gradient that is rounding alone.
        states += run_ddp(devices, folder, "--model.optimizer=SGD", "--model.optimizer.lr=0.1", strategy="ddp")
        for epoch in (0, 1):
            seen = [json.loads(path.read_text()) for path in folder.glob(f"rows-{epoch}-*.json")]
            assert len(seen) == devices
            rows = [row for rows in seen for row in rows]
            assert len(rows) == len(set(rows)) == 180  # of 200, less a tenth held out
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-5, atol=1e-6, msg=key)


@pytest.mark.slow
def test_several_optimizers_and_methods_of_maps_train_in_two_processes(tmp_path: Path) -> None:
    names = [*(name for name, (cls, _) in VARIANTS.items() if issubclass(cls, ManualMethod)), *MAPS]
    assert {"MCD", "CycleGAN"} <= {*names}
    for name, after in zip(names, run_ddp(2, tmp_path, names=names), strict=True):
        before = make(name).state_dict()
        assert all(torch.isfinite(value).all() for value in after.values()), name
        assert any(not torch.equal(before[key], after[key]) for key in before if key.startswith("network.backbone")), name
        first, second = (json.loads((tmp_path / f"sums-{name}-{rank}.json").read_text()) for rank in (0, 1))
        assert first == second, f"{name}: the gradients of the processes were not averaged"
