"""Adapters of peft: small layers beside those of the backbone, which are frozen."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from tlda.errors import UserError, lacking, near
from tlda.finetuning.base import Tuning

if TYPE_CHECKING:
    from tlda.backbones import Backbone

BASE = ".base_layer."
"""What peft puts into the name of a parameter of a layer that has an adapter."""


def is_adapter(key: str) -> bool:
    """Whether the weights of this name are an adapter's; peft calls the one that it makes ``default``."""
    return "default" in key.split(".")


class _Adapter(Tuning):
    """The base of adapters. BatchNorm's statistics are frozen with its layers.

    Args:
        target_modules: names, or ends of names, of the layers that get one; by default every linear and every convolution that is
            not grouped.
    """

    freezes: ClassVar[bool] = True
    config: ClassVar[str]
    """The name of peft's configuration."""

    def __init__(self, target_modules: Sequence[str] | None = None) -> None:
        super().__init__()
        self.target_modules = target_modules

    def options(self) -> dict[str, Any]:
        """The options of peft's configuration, without the layers."""
        raise NotImplementedError

    def prepare(self, backbone: Backbone) -> None:
        """Put the adapters of peft beside the target layers; the rest of the backbone is frozen."""
        peft = _peft(type(self).__name__)
        options = {**self.options(), "target_modules": self._targets(backbone)}
        try:
            peft.inject_adapter_in_model(getattr(peft, self.config)(**options), backbone)
        except ValueError as error:
            raise UserError(f"{type(self).__name__} cannot adapt these layers: {str(error).splitlines()[0]}; set target_modules") from error
        for layer in backbone.modules():
            if isinstance(layer, nn.TransformerEncoderLayer):
                # In evaluation, its shortcut would read weights past their adapters; it is only for these two activations.
                layer.activation_relu_or_gelu = 0

    def _targets(self, backbone: Backbone) -> list[str]:
        # Not subclasses: a layer whose weights another module reads by itself, as attention of torch does, would learn nothing.
        able = [name for name, layer in backbone.named_modules() if type(layer) is nn.Linear or _is_plain_convolution(layer)]
        wanted = self.target_modules
        for end in wanted or ():
            if not any(name == end or name.endswith(f".{end}") for name, _ in backbone.named_modules()):
                raise UserError(f"{type(self).__name__} finds no layer '{end}'{near(end, {name.split('.')[-1] for name in able})}")
        if not able:
            raise UserError(f"{type(self).__name__} adapts linear layers and convolutions, and {type(backbone).__name__} has none")
        return able if wanted is None else list(wanted)

    def plain_key(self, key: str) -> str | None:
        if BASE in key:
            return key.replace(BASE, ".")
        return None if is_adapter(key) else key

    def trained(self, backbone: Backbone, stage: int) -> Iterable[nn.Parameter]:
        return [parameter for name, parameter in backbone.named_parameters() if self.plain_key(name) is None]


class LoRA(_Adapter):
    """Low-rank adapters beside frozen layers, which :func:`merged` adds to them in the end (Hu et al., ICLR 2022, eq. 3).

    Args:
        rank: the rank; 2 in every layer is 1.4 % of EfficientNet-Lite0's parameters, and less of larger networks'.
        alpha: the factor on the adapters, times ``rank``.
        dropout: the dropout before an adapter.
        target_modules: names, or ends of names, of the layers that get one; by default every linear and every convolution that is
            not grouped.
    """

    config: ClassVar[str] = "LoraConfig"

    def __init__(self, rank: int = 2, alpha: float = 4.0, dropout: float = 0.0, target_modules: Sequence[str] | None = None) -> None:
        super().__init__(target_modules)
        self.rank, self.alpha, self.dropout = _positive(self, rank), alpha, dropout

    def options(self) -> dict[str, Any]:
        return {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout}


class LoHa(_Adapter):
    """Adapters that are the Hadamard product of two of low rank (Hyeon-Woo et al., ICLR 2022).

    Args:
        rank: the rank of either.
        alpha: the factor on the adapters, times ``rank``.
        target_modules: as for LoRA.
    """

    config: ClassVar[str] = "LoHaConfig"

    def __init__(self, rank: int = 1, alpha: float = 2.0, target_modules: Sequence[str] | None = None) -> None:
        super().__init__(target_modules)
        self.rank, self.alpha = _positive(self, rank), alpha

    def options(self) -> dict[str, Any]:
        return {"r": self.rank, "alpha": self.alpha}


class LoKr(LoHa):
    """Adapters that are the Kronecker product of two matrices, one of them of low rank (LyCORIS; Yeh et al., ICLR 2024).

    Args:
        rank: the rank of the larger one.
        alpha: the factor on the adapters, times ``rank``.
        target_modules: as for LoRA.
    """

    config: ClassVar[str] = "LoKrConfig"


class IA3(_Adapter):
    """A factor on each output of a frozen layer (Liu et al., NeurIPS 2022).

    Args:
        target_modules: as for LoRA.
    """

    config: ClassVar[str] = "IA3Config"

    def options(self) -> dict[str, Any]:
        return {"feedforward_modules": []}


def merged(backbone: Backbone) -> Backbone:
    """A copy of ``backbone`` without adapters: their weights are added to those of the layers, and it computes the same.

    Raises:
        UserError: it has no adapters.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(backbone)
    found = [(name, layer) for name, layer in plain.named_modules() if isinstance(layer, BaseTunerLayer)]
    if not found:
        raise UserError(f"this {type(backbone).__name__} has no adapters to merge: train it with --model.tuning LoRA")
    for name, layer in found:
        layer.merge(safe_merge=True)
        plain.set_submodule(name, layer.get_base_layer())
    return plain.requires_grad_()


def _is_plain_convolution(layer: nn.Module) -> bool:
    # Depthwise ones have few weights, and peft cannot merge an adapter into them.
    return isinstance(layer, nn.Conv2d) and layer.groups == 1


def _positive(tuning: Tuning, rank: int) -> int:
    if rank < 1:
        raise UserError(f"{type(tuning).__name__} has rank {rank}: it must be at least 1")
    return rank


def _peft(name: str) -> Any:
    try:
        import peft
    except ImportError as error:
        raise lacking(name, "peft", "peft") from error
    return peft
