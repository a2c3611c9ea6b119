"""DINOv2 and CLIP, as small random copies of the true architectures: size, statistics and registers, LoRA and layer decay on them."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import timm
import torch

from tests.helpers.tiny_clip import SIZE, tiny_clip
from tlda.backbones import CLIP, Backbone, Timm
from tlda.backbones.clip import MEAN, STD
from tlda.finetuning import LayerDecay, LoRA
from tlda.methods import SourceOnly

DINOV2 = "vit_small_patch14_reg4_dinov2"


def dinov2(monkeypatch: pytest.MonkeyPatch) -> Timm:
    """DINOv2 with registers by its name in timm, of two narrow layers for small images."""
    small = {"depth": 2, "embed_dim": 16, "num_heads": 2}
    with monkeypatch.context() as patch:
        patch.setattr(timm, "create_model", functools.partial(timm.create_model, **small))
        return Timm(DINOV2, weights=None)


def backbone(name: str, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    torch.manual_seed(0)
    return dinov2(monkeypatch) if name == "dinov2" else CLIP(tiny_clip())


def test_size_statistics_and_registers_are_those_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made, clip = dinov2(monkeypatch), CLIP(tiny_clip())
    model: Any = made.model
    assert (made.size, model.patch_embed.patch_size, model.num_reg_tokens, model.reg_token.shape) == (518, (14, 14), 4, (1, 4, 16))
    torch.testing.assert_close(made.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(made.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))
    assert clip.size == SIZE
    torch.testing.assert_close(clip.mean.flatten(), torch.tensor(MEAN))
    torch.testing.assert_close(clip.std.flatten(), torch.tensor(STD))


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_lora_moves_adapters_alone_and_starts_as_the_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, adapted = backbone(name, monkeypatch).eval(), backbone(name, monkeypatch)
    method = SourceOnly(backbone=adapted, task=2, tuning=LoRA(rank=2)).eval()
    x = torch.rand(1, 3, adapted.size, adapted.size)
    torch.testing.assert_close(method.features(x), plain(x))
    trained = {key for key, parameter in method.backbone.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in key for key in trained)
    method(x).logits.square().sum().backward()
    assert all(parameter.grad is not None for key, parameter in method.backbone.named_parameters() if key in trained)
    layers = {"dinov2": ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"), "clip": ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")}[
        name
    ]
    for layer in layers:
        assert sum(layer in key for key in trained) == 4, layer  # two matrices in each of two blocks


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_layer_decay_slows_each_block_by_its_depth(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = SourceOnly(backbone=backbone(name, monkeypatch), task=2, tuning=LayerDecay(0.5))
    rates = {id(p): group["lr_multiplier"] for group in method.parameter_groups() for p in group["params"]}
    named = dict(method.backbone.named_parameters())
    first, second = ("blocks.0.", "blocks.1.") if name == "dinov2" else ("layers.0.", "layers.1.")
    at = {part: {rates[id(p)] for key, p in named.items() if part in key} for part in (first, second)}
    assert all(len(found) == 1 for found in at.values()), at
    assert at[first].pop() == 0.5 * at[second].pop()
    entry = "patch_embed" if name == "dinov2" else "patch_embedding"
    assert all(rates[id(p)] <= min(rates.values()) * 2 for key, p in named.items() if entry in key)
