"""Two generators that translate between two domains, there and back, with their critics: all of CycleGAN but the training loop."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.optim.swa_utils import AveragedModel

from tlda.backbones import Backbone
from tlda.batch import Learner, Output, Pair
from tlda.errors import UserError
from tlda.losses.gan import Adversary, gan_critic, gan_generator
from tlda.metrics.translation import MEASURES, Translation
from tlda.nn import Snapshot, without_gradients
from tlda.options.recorded import Recorded
from tlda.training.lightning import callbacks_of
from tlda.translation.generators import Generator, PatchCritic, UNetGenerator

PIXELS = 2**20
"""How many pixels the moving averages translate at a time: a batch to measure may be larger than one that trains has room for."""


class Translating(Learner, Protocol):
    """A method with a translator, whose classifier judges after the fraction ``pretrain`` of the run."""

    pretrain: float


class ImagePool(nn.Module):
    """The last made images, so that a critic does not forget what it has seen through (Shrivastava et al., CVPR 2017, sec. 2.3).

    Each image that comes in goes out again, or, with probability 1/2 once the pool is full, takes the place of another that goes out
    for it. The pool is in checkpoints; each process has its own.

    Args:
        size: the images that are kept; 0 for none.
    """

    of_process: ClassVar[bool] = True
    """A run of several processes keeps the state of each, see :mod:`tlda.training.resume`."""

    def __init__(self, size: int = 50) -> None:
        super().__init__()
        if size < 0:
            raise UserError(f"the pool's size is {size}: it is 0 images or more")
        self.size, self.images = size, torch.empty(0)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        x = x.detach()
        free = self.size - len(self.images)
        if free > 0:
            self.images = torch.cat((self.images.to(x), x[:free])) if len(self.images) else x[:free].clone()
        return torch.cat((x[:free], self._swapped(x[free:]))) if self.size and len(x) > free else x

    def _swapped(self, x: Tensor) -> Tensor:
        self.images = self.images.to(x)
        # Drawn on the processor, so that a GPU need not be waited for. No place twice, so that none goes out twice.
        rows = (torch.rand(len(x)) < 0.5).nonzero().flatten()[: self.size]
        places = torch.randperm(self.size)[: len(rows)]
        out = x.clone()
        out[rows] = self.images[places]
        self.images[places] = x[rows]
        return out

    def get_extra_state(self) -> Tensor:
        """The images, whose number and shape the checkpoint says: the pool grows as it fills."""
        return self.images.clone()

    def set_extra_state(self, state: Tensor) -> None:
        """Take the images of a checkpoint."""
        self.images = state.clone()


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """A moving average of the weights of ``module``, which does not learn; its ``decay`` is lower at first, to forget the start."""

    def average(own: list[Tensor], new: list[Tensor], count: Tensor | int) -> None:
        torch._foreach_lerp_(own, new, 1 - min(decay, (1 + float(count)) / (10 + float(count))))

    model = AveragedModel(module, multi_avg_fn=average)  # type: ignore[arg-type]
    return model.requires_grad_(False)


class Made(NamedTuple):
    """Images of both domains, translated and not, (n, c, h, w) each."""

    source: Tensor
    target: Tensor
    to_target: Tensor
    to_source: Tensor
    same_source: Tensor
    same_target: Tensor


class Judge(Snapshot):
    """A copy of a classifier, backbone, bottleneck and head, that stays as it was: images (n, c, h, w) to its features and logits."""

    def forward(self, x: Tensor) -> Output:  # type: ignore[override]
        *layers, head = self.copy.eval()
        features: Tensor = nn.Sequential(*layers)(x)
        return Output(features, head(features))


class Translator(Recorded, nn.Module):
    """Cycle-consistent adversarial networks (Zhu et al., ICCV 2017): images of each domain to images that pass for the other's.

    It translates once the classifier of the source that judges it is there, and gives images as they are until then. The
    parameters are made in :meth:`build`.

    Args:
        generator: from source to target, :class:`UNetGenerator` where none is given; the one back is made alike.
        adversary: ``lsgan`` or ``hinge``.
        cycle: the weight of the images' absolute difference, on values in -1..1, from themselves there and back; the paper's lambda.
        identity: the weight, times ``cycle``, of their difference from their translation into their own domain (sec. 5.2); 0 for none.
        pool: the made images that are kept for each critic.
        decay: of the generators' moving average, which is what translates once it is asked to.
        critic_width: the channels of the critics' first layer.
        size: height and width of the images; by default what the backbone is made for.
        inception: the file of Inception's weights, over whose features the translation is then measured, and not over the judge's.
    """

    def __init__(
        self,
        generator: Generator | None = None,
        adversary: Adversary = "lsgan",
        cycle: float = 10.0,
        identity: float = 0.5,
        pool: int = 50,
        decay: float = 0.999,
        critic_width: int = 64,
        size: int | None = None,
        inception: str | None = None,
    ) -> None:
        super().__init__()
        generator = generator or UNetGenerator()
        self.adversary, self.cycle, self.identity, self.decay = adversary, cycle, identity, decay
        self.critic_width, self.size, self.inception = critic_width, size, inception
        self.generators = nn.ModuleDict({"to_target": generator, "to_source": copy.deepcopy(generator)})
        self.pools = nn.ModuleDict({name: ImagePool(pool) for name in ("source", "target")})

    def build(self, backbone: Backbone, bottleneck: nn.Module, head: nn.Module, num_features: int) -> None:
        """Make the parameters, for images that ``backbone`` is made for, and the judge, a copy of all three, with features so wide."""
        self.channels, self.built_for = backbone.channels, self.size or backbone.size
        generators: Any = self.generators.values()
        for generator in generators:
            generator.build(self.channels, self.built_for)
        self.critics = nn.ModuleDict({name: PatchCritic(self.channels, self.built_for, self.critic_width) for name in self.pools})
        self.apply(start).to(memory_format=torch.channels_last)
        self.average = averaged(self.generators, self.decay)
        self.judge = Judge(backbone, bottleneck, head)
        self.measures = Translation(num_features, self.inception)

    def groups(self) -> Iterator[dict[str, Any]]:
        """What each optimizer trains: the generators, the source's critic, the target's."""
        parts = {"generators": self.generators, **{f"{name}_critic": critic for name, critic in self.critics.items()}}
        for name, part in parts.items():
            yield {"name": name, "params": list(part.parameters()), "lr_multiplier": 1.0}

    # The translation

    @property
    def averages(self) -> nn.ModuleDict:
        """The moving averages of both generators."""
        averages = self.average.module
        assert isinstance(averages, nn.ModuleDict)
        return averages

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Source images (n, c, h, w) as the moving average makes the target's of them."""
        return self._averaged("to_target", x)

    @torch.no_grad()
    def back(self, x: Tensor) -> Tensor:
        """Target images, or translated ones, as the moving average makes the source's of them."""
        return self._averaged("to_source", x)

    def _averaged(self, way: str, x: Tensor) -> Tensor:
        if not self.judge.taken:
            return x
        parts = math.ceil(x[:, 0].numel() / PIXELS)
        return torch.cat([self.averages[way](part) for part in x.chunk(max(1, parts))])

    def measure(self, x: Tensor, domain: str) -> Tensor:
        """What the classifier is measured on: translated source images, or the target's as they are; the translation is measured too."""
        seen = self(x) if domain == "source" else x
        if self.judge.taken:
            self.measures.update(seen, self.judge(seen), self.judge(x) if domain == "source" else None)
        return seen

    # Its training

    def prepare(self, method: Translating, batch: Pair) -> None:
        """Let the classifier of ``method`` judge from where it is trained on; told from the first step on what cannot be translated.

        Raises:
            UserError: the ``batch`` does not suit the generators, or the judge would come too late.
        """
        self.require_shape(batch.source.x, batch.target.x)
        if method.trainer.fit_loop.total_batch_idx == 0:
            require_in_time(method.trainer, method.pretrain)
        if method.progress >= method.pretrain:
            self.begin(method)

    def begin(self, method: Learner) -> None:
        """Let ``method``, as it is the first time, judge from now on."""
        if not self.judge.taken:
            network = method.network
            self.judge.take(network.backbone, network.bottleneck, network.head)

    def require_shape(self, *domains: Tensor) -> None:
        """Raise :class:`UserError` where the images of the ``domains`` differ in shape, or are not what the generators were made for."""
        shapes = [tuple(images.shape[1:]) for images in domains]
        if len(set(shapes)) > 1 or shapes[0][0] != self.channels:
            found = " and ".join(map(str, shapes))
            raise UserError(
                f"the generators translate images of one shape with {self.channels} channel(s), and these are {found} (channels, height, "
                "width): give both domains one size, and --model.backbone.channels as they have"
            )
        height, width = shapes[0][1:]
        if self.built_for not in (height, width):
            raise UserError(
                f"the generators are for images of {self.built_for} x {self.built_for}, these are {height} x {width}: set "
                f"--model.translator.size {max(height, width)}"
            )

    def make(self, source: Tensor, target: Tensor) -> Made:
        """Translate images of both domains, and, where that has a weight, each into its own domain, in one pass a generator."""
        self.require_shape(source, target)
        to_target, same_target = self._both("to_target", source, target)
        to_source, same_source = self._both("to_source", target, source)
        return Made(source, target, to_target, to_source, same_source, same_target)

    def _both(self, way: str, x: Tensor, own: Tensor) -> tuple[Tensor, ...]:
        """Images ``x`` translated, and those of the domain that they are translated into."""
        if not self.identity:
            return self.generators[way](x), own
        parts: tuple[Tensor, ...] = self.generators[way](torch.cat((x, own))).split((len(x), len(own)))
        return parts

    def generator_terms(self, made: Made) -> dict[str, Tensor]:
        """What the generators minimise (eq. 1-3)."""
        terms = {}
        with without_gradients(self.critics):
            for name, image in (("source", made.to_source), ("target", made.to_target)):
                terms[f"adversarial_{name}"] = gan_generator(self.critics[name](image), self.adversary)
        back = self.generators["to_source"](made.to_target), self.generators["to_target"](made.to_source)
        terms["cycle"] = self.cycle * _difference(back, (made.source, made.target))
        if self.identity:
            same = made.same_source, made.same_target
            terms["identity"] = self.cycle * self.identity * _difference(same, (made.source, made.target))
        return terms

    def follow(self) -> None:
        """Move the average towards the generators, after a step of theirs."""
        self.average.update_parameters(self.generators)

    def critic_terms(self, made: Made) -> dict[str, Tensor]:
        """What the critics minimise, on images of the pools."""
        images = {"source": (made.source, made.to_source), "target": (made.target, made.to_target)}
        return {f"{name}_critic": self._critic_term(name, *pair) for name, pair in images.items()}

    def _critic_term(self, name: str, real: Tensor, fake: Tensor) -> Tensor:
        scores = self.critics[name](torch.cat((real, self.pools[name](fake))))
        return gan_critic(scores[: len(real)], scores[len(real) :], self.adversary)


def require_in_time(trainer: Trainer, pretrain: float) -> None:
    """Raise :class:`UserError` where no judge is there after the share ``pretrain`` of the run, or a callback would look for it before."""
    if not 0 <= pretrain <= 1:
        raise UserError(f"--model.pretrain is {pretrain}: it is a share of the run, from 0 to 1")
    waiting = [c for c in callbacks_of(trainer) if str(getattr(c, "monitor", "")).startswith(MEASURES)]
    if waiting and pretrain > 0:
        name, followed = type(waiting[0]).__name__, getattr(waiting[0], "monitor", None)
        raise UserError(
            f"{name} follows '{followed}', which is measured once the classifier that judges is trained: train that first, by "
            "source only, and start from it by --model.init_from and --model.pretrain 0"
        )


def _difference(images: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> Tensor:
    """The mean absolute difference of each pair, on values in -1..1, summed."""
    first, second = (2 * l1_loss(x, y) for x, y in zip(images, wanted, strict=True))
    return first + second


def start(module: nn.Module) -> None:
    """The paper's initial weights of a convolution: normal, with a standard deviation of 0.02 (sec. 7.1)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
