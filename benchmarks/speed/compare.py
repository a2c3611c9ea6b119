"""Time tlda's training step against the loops of ``by_hand.py``, which take turns in one process, on one thread.

python benchmarks/speed/compare.py                  # measure everything; results.json and README.md
python benchmarks/speed/compare.py --only dann      # one case; the others keep their figures
python benchmarks/speed/compare.py --render         # README.md again, from results.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import by_hand
import torch
import yaml
from page import page
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from tlda.commands.run import Run
from tlda.commands.running import default_precision
from tlda.data import Domain, DomainPair, Images, Steps
from tlda.tasks import Classification
from tlda.training.quiet import silence

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parents[1] / "experiments"
LOG_EVERY = 50
BLOCK = 10
"""The steps of a turn. After single steps each would find the processor's caches filled by the others, as in no real training."""


class Case(NamedTuple):
    """A method, its net, the images of each domain in a batch, the steps of a run that are timed, and those before them."""

    title: str
    method: str
    backbone: str
    batch: int
    steps: int
    warmup: int
    loops: tuple[str, ...] = ("by_hand", "by_hand_fp32")

    @property
    def total(self) -> int:
        """The steps of a run; the last one only ends the one before it."""
        return self.warmup + self.steps + 1

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and size of the images."""
        return (1, 28) if self.backbone == "lenet" else (3, 224)

    def images(self, seed: int) -> Images:
        """Random bytes and classes, sixteen batches of them: the domain of number ``seed``."""
        (channels, size), rows = self.shape, 16 * self.batch
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (rows, channels, size, size), dtype=torch.uint8, generator=generator)
        return Images(images, torch.randint(0, by_hand.CLASSES, (rows,), generator=generator))


CASES = {
    "source_only": Case("source only, LeNet, 64", "source_only", "lenet", 64, 40, 10),
    "dann": Case("DANN, LeNet, 64 + 64", "dann", "lenet", 64, 40, 10),
    "cdan_e": Case("CDAN+E, LeNet, 64 + 64", "cdan_e", "lenet", 64, 40, 10),
    "dann_224": Case("DANN, EfficientNet-Lite0 at 224, 8 + 8", "dann", "tf_efficientnet_lite0", 8, 8, 2, ("by_hand",)),
}


class RandomImages(DomainPair):
    """The random images of a case of ``CASES``, as two domains held in memory."""

    def __init__(self, case: str = "dann", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case

    @property
    def task(self) -> Classification:
        return Classification([str(i) for i in range(by_hand.CLASSES)])

    def load(self) -> tuple[Domain, Domain]:
        source, target = (Domain(name, CASES[self.case].images(seed)) for seed, name in enumerate(("source", "target")))
        few = CASES[self.case].images(2)[torch.arange(8)]
        source.test = target.test = Images(few.x, few.y)
        return source, target


class Times(NamedTuple):
    """Of a contestant, seconds of each step: on the clock, and of this process's processor time; and its losses."""

    wall: list[float]
    cpu: list[float]
    losses: list[float]


class Watch:
    """Collects the times of a contestant between :meth:`start` and :meth:`stop`."""

    def __init__(self) -> None:
        self.times = Times([], [], [])

    def start(self) -> None:
        """The contestant's step begins."""
        self.begun = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        """The contestant's step has ended."""
        self.times.wall.append(time.perf_counter() - self.begun[0])
        self.times.cpu.append(time.process_time() - self.begun[1])


class Loop(Watch):
    """A loop by hand, one step at each :meth:`turn`, with random numbers of its own."""

    def __init__(self, losses: Iterator[Tensor], log_every: int) -> None:
        super().__init__()
        self.steps, self.log_every, self.random = enumerate(losses, 1), log_every, torch.get_rng_state()

    def turn(self) -> None:
        """One step, and the loss read at every ``log_every``-th."""
        outside = torch.get_rng_state()
        torch.set_rng_state(self.random)
        self.start()
        step, loss = next(self.steps)
        if step % self.log_every == 0:
            self.times.losses.append(loss.item())
        self.stop()
        self.random = torch.get_rng_state()
        torch.set_rng_state(outside)


class Turns(Callback, Watch):
    """Before every ``BLOCK`` steps of the trainer, each of ``loops`` takes as many; it is timed from start to start, less those."""

    def __init__(self, loops: Sequence[Loop], log_every: int) -> None:
        super().__init__()
        self.loops, self.log_every, self.times = loops, log_every, Times([], [], [])

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx:
            self.stop()
        if batch_idx % BLOCK == 0:
            for loop in self.loops:
                for _ in range(min(BLOCK, int(trainer.num_training_batches) - batch_idx)):
                    loop.turn()
        self.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % self.log_every == 0:
            self.times.losses.append(outputs["loss"].item())


class TimedRun(Run):
    """``tlda fit``, with ``turns`` among its callbacks."""

    def __init__(self, args: list[str], turns: Turns) -> None:
        self.turns = turns
        super().__init__(args)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        return super().instantiate_trainer(**kwargs, callbacks=[self.turns])


def changes(name: str, folder: str, precision: str) -> dict[str, Any]:
    """What case ``name`` changes in the recipes of ``experiments/``: random images, one short epoch."""
    case = CASES[name]
    timm = {"class_path": "Timm", "init_args": {"name": case.backbone, "weights": None, "channels": 3}}
    return {
        "trainer": {"max_epochs": 1, "accelerator": "cpu", "precision": precision, "default_root_dir": folder},
        "model": {"init_args": {} if case.backbone == "lenet" else {"backbone": timm}},
        "data": {"class_path": "RandomImages", "init_args": {"case": name, "batch_size": case.batch, "steps": case.total}},
    }


def loop(case: Case, fast: bool, log_every: int) -> Loop:
    """The loop by hand of ``case``, over the rows that tlda takes too."""
    domains = [case.images(seed) for seed in range(1 if case.method == "source_only" else 2)]
    order = [torch.stack(list(Steps(len(domain), case.batch, case.total, seed))) for seed, domain in enumerate(domains)]
    images = [domain.images for domain in domains]
    return Loop(by_hand.train(case.method, case.backbone, images, domains[0].labels, order, fast), log_every)


def compete(name: str, precision: str, log_every: int = LOG_EVERY) -> dict[str, Times]:
    """One run of case ``name``: the times of ``tlda fit`` as it is by default, and of the loops by hand, by name."""
    case = CASES[name]
    loops = {key: loop(case, key == "by_hand" and precision == "bf16-mixed", log_every) for key in case.loops}
    turns = Turns(list(loops.values()), log_every)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        config = Path(folder) / "case.yaml"
        config.write_text(yaml.safe_dump(changes(name, folder, precision)))
        recipes = [RECIPES / "base/digits.yaml", RECIPES / f"method/{case.method}.yaml", config]
        TimedRun(["fit", *(arg for recipe in recipes for arg in ("--config", str(recipe)))], turns)
    return {"tlda": turns.times} | {key: loop.times for key, loop in loops.items()}


def figures(case: Case, run: dict[str, Times]) -> dict[str, dict[str, float]]:
    """Of each contestant in a run, milliseconds: the median step on the clock, and the mean step of processor time."""
    timed = slice(case.warmup, case.warmup + case.steps)
    return {
        name: {"wall": round(1e3 * median(times.wall[timed]), 3), "cpu": round(1e3 * mean(times.cpu[timed]), 3)}
        for name, times in run.items()
    }


def measure(name: str, runs: int) -> dict[str, Any]:
    """``runs`` runs of case ``name``, and what they were measured on."""
    case, found, loads = CASES[name], [], []
    for i in range(runs):
        found.append(figures(case, compete(name, default_precision())))
        loads.append(os.getloadavg()[0])
        print(f"{name} {i + 1}/{runs}: " + ", ".join(f"{key} {value['wall']:.1f} ms" for key, value in found[-1].items()), flush=True)
    return {"title": case.title, "steps": case.steps, "load": round(mean(loads), 1), "machine": machine(), "runs": found}


def machine() -> dict[str, Any]:
    """What the figures are measured on, and with."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "precision": default_precision(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("torch", "pytorch-lightning", "timm", "tlda")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9, help="runs of each case")
    parser.add_argument("--steps", type=int, help="timed steps of a run; by default the case's own")
    parser.add_argument("--only", choices=CASES, help="one case")
    parser.add_argument("--out", type=Path, default=HERE / "results.json", help="the results; the page is written beside them")
    parser.add_argument("--render", action="store_true", help="only write the page of the results that are there")
    options = parser.parse_args()
    results = json.loads(options.out.read_text()) if options.out.exists() else {}
    if not options.render:
        silence()
        torch.set_num_threads(1)
        os.environ["WANDB_MODE"] = "disabled"
        for name in [options.only] if options.only else CASES:
            CASES[name] = CASES[name]._replace(steps=options.steps or CASES[name].steps)
            results[name] = measure(name, options.pairs)
            options.out.write_text(json.dumps(results, indent=1) + "\n")
    (options.out.parent / "README.md").write_text(page([results[name] for name in CASES if name in results]))


if __name__ == "__main__":
    main()
