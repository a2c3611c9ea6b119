"""Causal language models: transformers' own logits, documents apart, the last layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.tiny_causal import SIZE, tiny_causal
from tests.helpers.tiny_text import tiny_model
from tlda.backbones import LanguageModel, Text
from tlda.backbones import language_model as module
from tlda.batch import PAD
from tlda.errors import UserError
from tlda.inputs import END
from tlda.network import Bottleneck, Network
from tlda.tasks import Classification, NextToken

IDS = torch.randint(0, 256, (3, 12), generator=torch.Generator().manual_seed(0))


def marked(ids: torch.Tensor) -> torch.Tensor:
    return torch.stack((ids, torch.ones_like(ids)), -1)


def network(**options: Any) -> Network:
    return Network(LanguageModel(tiny_causal(**options)), NextToken(SIZE)).eval()


@pytest.mark.parametrize("options", [{}, {"tied": False}, {"kind": "gpt2"}])
def test_the_logits_are_those_of_transformers(options: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(tiny_causal(**options))
    with torch.no_grad():
        wanted, found = model.eval()(input_ids=IDS).logits, network(**options)(marked(IDS)).logits
    torch.testing.assert_close(found.view(3, 12, SIZE), wanted, atol=1e-5, rtol=1e-5)


def test_a_tied_head_has_no_weights_and_another_trains_its_own() -> None:
    assert not [*network().head.parameters()]
    assert [tuple(weight.shape) for weight in network(tied=False).head.parameters()] == [(SIZE, 16)]
    for net in (network(), network(tied=False)):
        assert len([*net.parameters()]) == len({id(weight) for weight in net.parameters()})
        assert not any("last" in name for name, _ in net.named_parameters())
    copy: Any = network().copied()
    weight = copy.head.embeddings[0].weight
    assert weight is copy.backbone.model.get_input_embeddings().weight


def test_no_token_sees_a_later_one_nor_what_fills_up_a_text() -> None:
    net: Any = network()
    changed = IDS.clone()
    changed[:, 6:] = PAD
    with torch.no_grad():
        whole, cut = (net.backbone.encode(ids)[:, :6] for ids in (IDS, changed))
        last = net.backbone(changed)
    torch.testing.assert_close(whole, cut)
    torch.testing.assert_close(last, whole[:, 5])


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_documents_apart_are_as_each_alone(attention: str) -> None:
    backbone = LanguageModel(tiny_causal()).eval()
    backbone.model.config._attn_implementation, backbone.plain = attention, attention == "sdpa"
    row = marked(IDS[:1])
    row[0, 4, 1] = row[0, 8, 1] = END
    with torch.no_grad():
        found = backbone.encode(row)
        alone = torch.cat([backbone.encode(IDS[:1, part]) for part in (slice(0, 5), slice(5, 9), slice(9, 12))], 1)
        together = backbone.encode(IDS[:1])
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found[:, 5:], together[:, 5:], atol=1e-2)


def test_texts_have_the_features_of_their_last_token_or_the_mean() -> None:
    ids = IDS.clone()
    ids[1, 5:] = PAD
    last, mean = (LanguageModel(tiny_causal(), pooling=pooling).eval() for pooling in ("last", "mean"))
    hidden = last.encode(ids)
    torch.testing.assert_close(last(ids), torch.stack((hidden[0, 11], hidden[1, 4], hidden[2, 11])))
    torch.testing.assert_close(mean(ids)[1], hidden[1, :5].mean(0))
    assert Network(mean, Classification(["a", "b"]))(ids).logits.shape == (3, 2)


def test_the_last_blocks_are_the_last_layers() -> None:
    names = [[name for name, _ in block.named_parameters()] for block in LanguageModel(tiny_causal()).blocks()]
    assert len(names) == 3  # embeddings, two layers
    assert any("norm" in name for name in names[-1])


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"sees the token that it is to predict: give --model.backbone LanguageModel$"):
        Network(Text(tiny_model()), NextToken(SIZE))
    with pytest.raises(UserError, match="leave bottleneck, head and pooling out"):
        Network(LanguageModel(tiny_causal()), NextToken(SIZE), Bottleneck(4))
    with pytest.raises(UserError, match=r"takes at most 64 tokens, got 65: lower --data.max_length$"):
        network()(torch.zeros(1, 65, dtype=torch.long))
    with pytest.raises(UserError, match=r"token ids beyond the 257 tokens of .*: give --data.tokenizer the same model$"):
        network()(torch.full((1, 4), 300))
    with pytest.raises(UserError, match="cannot load the causal language model"):
        LanguageModel(str(tiny_model()) + "/nowhere")
    with pytest.raises(UserError, match="takes token ids, got floats"):
        network()(torch.zeros(1, 3))
    monkeypatch.setattr(module, "TiedHead", lambda embeddings: torch.nn.Linear(16, SIZE))
    with pytest.raises(UserError, match="changes its logits after its last layer"):
        LanguageModel(tiny_causal())
