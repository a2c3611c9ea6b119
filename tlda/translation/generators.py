"""Networks that make images, and the critics that judge them, sized by the images that they are for."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample
from torch.utils.checkpoint import checkpoint

from tlda.errors import UserError
from tlda.options.recorded import Recorded


def _block(layer: nn.Module, width: int) -> nn.Sequential:
    """A layer, instance normalisation (which is why the layer has no bias), ReLU."""
    return nn.Sequential(layer, nn.InstanceNorm2d(width), nn.ReLU())


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return _block(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), outputs)


class Up(nn.Module):
    """Twice the height and width, less a pixel where the size that is asked for is odd: (n, i, h, w) to (n, o, *size)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, bias=False)
        self.rest = nn.Sequential(nn.InstanceNorm2d(outputs), nn.ReLU())

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        up: Tensor = self.rest(self.layer(x, output_size=size))
        return up


class Residual(nn.Module):
    """Two convolutions of width ``width`` beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.layers = nn.Sequential(_block(first, width), second, nn.InstanceNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.layers(x)
        return output


class Generator(Recorded, nn.Module):
    """The base of generators: images in 0..1 (n, c, h, w) to images of the same shape, in 0..1 and float32.

    The parameters are made in :meth:`build`, once it is known what images there are.

    Args:
        width: the channels of the first layer.
        checkpointing: forget what lies between the blocks and compute it again for the gradient: less memory, a third more time.
    """

    def __init__(self, width: int = 64, checkpointing: bool = False) -> None:
        super().__init__()
        if width < 1:
            raise UserError(f"a generator's width is {width}: it must be at least 1")
        self.width, self.checkpointing = width, checkpointing

    def build(self, channels: int, size: int) -> None:
        """Make the parameters, for images (n, ``channels``, ``size``, ``size``) or thereabouts."""
        raise NotImplementedError

    def translate(self, x: Tensor) -> Tensor:
        """Images in -1..1 to what a tanh makes images of."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        image: Tensor = 0.5 + 0.5 * self.translate(2 * x - 1).float().tanh()
        return image

    def run(self, block: nn.Module, *inputs: object) -> Tensor:
        """``block`` of ``inputs``, with or without what lies within kept for the gradient."""
        if self.checkpointing and torch.is_grad_enabled():
            again: Tensor = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
            return again
        output: Tensor = block(*inputs)
        return output


class ResNetGenerator(Generator):
    """Down, residual blocks, up: the generator of CycleGAN (Zhu et al., ICCV 2017, sec. 7.1; Johnson et al., ECCV 2016).

    Two halvings, one below 16 pixels.

    Args:
        width: the channels of the first layer.
        blocks: the residual blocks; by default the paper's 6, and 9 from 256 pixels on.
        checkpointing: see :class:`Generator`.
    """

    def __init__(self, width: int = 64, blocks: int | None = None, checkpointing: bool = False) -> None:
        super().__init__(width, checkpointing)
        self.blocks = blocks

    def build(self, channels: int, size: int) -> None:
        """Make the layers: two halvings (one below 16 pixels), the residual blocks, and as many doublings."""
        widths = [self.width * 2**i for i in range(3 if size >= 16 else 2)]
        pairs = list(itertools.pairwise(widths))
        self.first = _block(nn.Conv2d(channels, self.width, 7, padding=3, bias=False), self.width)
        self.downs = nn.ModuleList(_down(*pair) for pair in pairs)
        blocks = (9 if size >= 256 else 6) if self.blocks is None else self.blocks
        self.residuals = nn.ModuleList(Residual(widths[-1]) for _ in range(blocks))
        self.ups = nn.ModuleList(Up(outputs, inputs) for inputs, outputs in reversed(pairs))
        self.last = nn.Conv2d(self.width, channels, 7, padding=3)

    def translate(self, x: Tensor) -> Tensor:
        """Each doubling gives the size that its halving was given, odd ones too."""
        x, sizes = self.first(x), []
        for down in self.downs:
            sizes.append(x.shape[2:])
            x = self.run(down, x)
        for block in self.residuals:
            x = self.run(block, x)
        for up in self.ups:
            x = self.run(up, x, sizes.pop())
        output: Tensor = self.last(x)
        return output


class UNetGenerator(Generator):
    """Down to about 4 pixels and up again, each layer beside the one of its size on the way down (Isola et al., CVPR 2017, sec. 6.1.1).

    It has no dropout. Small images take it a fraction of the time of :class:`ResNetGenerator`.
    """

    def build(self, channels: int, size: int) -> None:
        """Make as many halvings as bring ``size`` to about 4 pixels, and a doubling for each."""
        depth = max(1, math.ceil(math.log2(size / 4)))
        widths = [self.width * min(2**i, 8) for i in range(depth)]
        pairs = list(itertools.pairwise(widths))
        # Without normalisation, as in the paper: the first layer is what sees how bright an image is.
        self.first = nn.Sequential(nn.Conv2d(channels, self.width, 3, 2, 1), nn.ReLU())
        self.downs = nn.ModuleList(_down(*pair) for pair in pairs)
        self.ups = nn.ModuleList(Up(outputs * (1 if i == 0 else 2), inputs) for i, (inputs, outputs) in enumerate(reversed(pairs)))
        self.last = nn.ConvTranspose2d(self.width * (2 if pairs else 1), channels, 3, 2, 1)

    def translate(self, x: Tensor) -> Tensor:
        """Each doubling also sees the output of the halving of its size."""
        size = list(x.shape[2:])
        beside = [self.first(x)]
        for down in self.downs:
            beside.append(self.run(down, beside[-1]))
        x = beside.pop()
        for up in self.ups:
            x = torch.cat((self.run(up, x, beside[-1].shape[2:]), beside.pop()), 1)
        output: Tensor = self.last(x, output_size=size)
        return output


class WarpedGenerator(Generator):
    """One affine warp of all images, which is learned, before another generator (Jaderberg et al., NeurIPS 2015, sec. 3.2).

    Where the domains show their objects at another scale or place, as MNIST and USPS do, convolutions take long to learn so little.
    It begins as no warp. What comes in from outside is the border's.

    Args:
        generator: what comes after; :class:`UNetGenerator` where none is given.
    """

    def __init__(self, generator: Generator | None = None) -> None:
        super().__init__()
        self.after = generator or UNetGenerator()

    def build(self, channels: int, size: int) -> None:
        self.after.build(channels, size)
        self.matrix = nn.Parameter(torch.eye(2, 3))

    def translate(self, x: Tensor) -> Tensor:
        # At full precision: in bf16 a place is known to a pixel or two.
        with torch.autocast(x.device.type, enabled=False):
            grid = affine_grid(self.matrix.float().expand(len(x), 2, 3), list(x.shape), align_corners=False)
            warped = grid_sample(x.float(), grid, padding_mode="border", align_corners=False)
        return self.after.translate(warped)


class PatchCritic(nn.Module):
    """PatchGAN: images (n, c, h, w) to a score of each patch (n, 1, h', w') (Isola et al., CVPR 2017, sec. 6.1.2).

    A patch has 70 pixels, or 34, 16 or 1 (a PixelGAN): as many as are at most 5/4 of the image. That of one pixel normalises nothing:
    it would not see how bright an image is.

    Args:
        channels: of the images.
        size: height and width of the images.
        width: the channels of the first layer.
    """

    def __init__(self, channels: int, size: int, width: int = 64) -> None:
        super().__init__()
        layers = max((n for n, patch in enumerate((1, 16, 34, 70)) if patch <= 1.25 * size), default=0)
        kernel, padding = (4, 1) if layers else (1, 0)
        net: list[nn.Module] = [nn.Conv2d(channels, width, kernel, 2 if layers else 1, padding), nn.LeakyReLU(0.2)]
        for i in range(max(1, layers)):
            outputs = 2 * width
            net += [nn.Conv2d(width, outputs, kernel, 2 if i < layers - 1 else 1, padding, bias=not layers)]
            net += [*([nn.InstanceNorm2d(outputs)] if layers else []), nn.LeakyReLU(0.2)]
            width = outputs
        self.net = nn.Sequential(*net, nn.Conv2d(width, 1, kernel, 1, padding))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.net(2 * x - 1)
        return scores
