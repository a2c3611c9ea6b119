"""Two towers: against transformers' own logits, on a tiny random CLIP."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from tests.helpers.tiny_clip import SIZE, tiny_clip
from tests.helpers.tiny_text import tiny_model
from tlda.backbones import CLIP, MLP
from tlda.backbones.clip import MEAN, STD, text_tower
from tlda.errors import UserError
from tlda.network import Bottleneck, Head, Network
from tlda.nn.cosine_head import CosineHead
from tlda.tasks import Classification

CLASSES = ["dog", "back_pack", "class"]
SPOKEN = ["dog", "back pack", "class"]


def own_logits(x: Tensor, sentences: list[str]) -> tuple[Tensor, Tensor, float]:
    """What transformers computes of images in 0..1 and sentences: the logits, the texts' directions, and the scale."""
    from tokenizers import Tokenizer
    from transformers import CLIPModel

    model: Any = CLIPModel.from_pretrained(tiny_clip()).eval()
    tokenizer = Tokenizer.from_file(f"{tiny_clip()}/tokenizer.json")
    tokenizer.enable_padding(pad_id=0)
    encoded = tokenizer.encode_batch(sentences)
    ids, mask = torch.tensor([e.ids for e in encoded]), torch.tensor([e.attention_mask for e in encoded])
    pixels = (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=mask, pixel_values=pixels)
        return output.logits_per_image, output.text_embeds, float(model.logit_scale.exp())


def network(**options: Any) -> Network:
    return Network(CLIP(tiny_clip()), Classification(CLASSES), head=Head(text=tiny_clip(), **options)).eval()


X = torch.rand(5, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_zero_shot_logits_are_those_of_transformers() -> None:
    expected, _, _ = own_logits(X, [f"a photo of a {name}." for name in SPOKEN])
    torch.testing.assert_close(network()(X).logits, expected)
    assert expected.std() > 0.1


@torch.no_grad()
def test_prompts_are_averaged_as_directions() -> None:
    prompts = ["a photo of a {}.", "the drawing of the first {} right"]
    logits, temperature = network(prompts=prompts)(X).logits, float(text_tower(tiny_clip()).temperature)
    _, texts, scale = own_logits(X, [prompt.replace("{}", name) for name in SPOKEN for prompt in prompts])
    assert temperature == pytest.approx(1 / scale)
    ensemble = normalize(texts.view(3, 2, -1).mean(1), dim=1)
    torch.testing.assert_close(logits, scale * normalize(network().features(X), dim=1) @ ensemble.T)
    assert not torch.allclose(logits, network()(X).logits)
    assert torch.equal(
        Network(CLIP(tiny_clip()), Classification(CLASSES), head=Head(text="backbone")).eval()(X).logits, network()(X).logits
    )


def test_the_head_trains_from_the_text_and_the_text_tower_is_no_part_of_the_network() -> None:
    made = network()
    assert isinstance(made.head, CosineHead)
    assert made.head.weight.requires_grad
    assert not any("text" in name for name, _ in made.named_parameters())
    made(X).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in made.parameters())


def test_what_does_not_fit_is_refused() -> None:
    task, text = Classification(CLASSES), Head(text=tiny_clip())
    with pytest.raises(UserError, match="not a CLIP"):
        CLIP(tiny_model())
    with pytest.raises(UserError, match="images of 8 x 8"):
        network()(torch.rand(1, 3, 16, 16))
    with pytest.raises(UserError, match="take the features of the same CLIP"):
        Network(MLP(2, (4,)), task, head=text)
    with pytest.raises(UserError, match="a bottleneck of the features of CLIP"):
        Network(CLIP(tiny_clip()), task, Bottleneck(8), text)
    with pytest.raises(UserError, match="at most 12 tokens"):
        network(prompts=["a " * 12 + "{}"])
    with pytest.raises(UserError, match="leave the other options"):
        Head(text=tiny_clip(), temperature=0.1)
    for prompts in (["no place"], []):
        with pytest.raises(UserError, match="give sentences with"):
            Head(text=tiny_clip(), prompts=prompts)
