from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tlda.backbones import Text
from tlda.batch import PAD
from tlda.errors import UserError
from tlda.finetuning import LayerDecay, LoRA
from tlda.methods import SourceOnly

IDS = torch.tensor([[2, 7, 8, 3], [2, 9, 3, PAD]])


def test_padding_changes_no_feature(model: str) -> None:
    backbone = Text(model).eval()
    together = backbone(IDS)
    torch.testing.assert_close(together[1:], backbone(IDS[1:, :3]))
    assert together.shape == (2, backbone.num_features) == (2, 16)


def test_pooling_is_that_of_transformers(model: str) -> None:
    from transformers import AutoModel

    other = AutoModel.from_pretrained(model).eval()
    hidden = other(input_ids=IDS.clamp_min(0), attention_mask=(IDS != PAD).long()).last_hidden_state
    torch.testing.assert_close(Text(model, pooling="cls").eval()(IDS), hidden[:, 0])
    torch.testing.assert_close(Text(model).eval()(IDS), torch.stack([hidden[0].mean(0), hidden[1, :3].mean(0)]))


def test_words_are_rows(model: str) -> None:
    backbone = Text(model).eval()
    marks = torch.tensor([[0, 1, 1, 0], [0, 1, 0, PAD]])
    found = backbone(torch.stack((IDS, marks), 2))
    torch.testing.assert_close(found, torch.cat((backbone.encode(IDS)[0, 1:3], backbone.encode(IDS)[1, 1:2])))


def test_blocks_are_the_embeddings_and_each_layer(model: str) -> None:
    backbone = Text(model)
    found = [sum(p.numel() for p in block.parameters()) for block in backbone.blocks()]
    embeddings, *layers = (sum(p.numel() for p in part.parameters()) for part in (backbone.model.embeddings, *backbone.model.encoder.layer))
    assert found == [embeddings, *layers]


def test_gradient_checkpointing_gives_the_same_gradient(model: str) -> None:
    gradients = []
    for checkpointing in (False, True):
        backbone = Text(model, gradient_checkpointing=checkpointing).train()
        torch.manual_seed(0)
        backbone(IDS).square().sum().backward()
        gradients.append([p.grad for p in backbone.parameters()])
    for plain, again in zip(*gradients, strict=True):
        assert plain is not None
        torch.testing.assert_close(plain, again)


def test_the_dropout_of_the_attention_is_as_given(model: str) -> None:
    given, own = (Text(model, attention_dropout=dropout).model for dropout in (0.0, None))
    assert {layer.attention.self.dropout.p for layer in given.encoder.layer} == {0.0}
    assert {layer.attention.self.dropout.p for layer in own.encoder.layer} == {own.config.attention_probs_dropout_prob} != {0.0}
    torch.testing.assert_close(Text(model, attention_dropout=0.0).eval()(IDS), Text(model).eval()(IDS))


def test_an_attention_without_dropout_is_refused(tmp_path: Path) -> None:
    from transformers import FNetConfig, FNetModel

    FNetModel(FNetConfig(vocab_size=30, hidden_size=16, num_hidden_layers=1, intermediate_size=16)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"\(fnet\) has no dropout to set: leave attention_dropout out"):
        Text(str(tmp_path), attention_dropout=0.0)


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        (torch.zeros(2, 3), "Text takes token ids, got floats"),
        (torch.ones(1, 65, dtype=torch.long), "takes at most 64 tokens, got 65: lower --data.max_length"),
        (torch.full((1, 3), 999), "give --data.tokenizer the same model"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(model: str, x: torch.Tensor, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Text(model)(x)


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the package 'nowhere' is not installed: pip install nowhere"):
        Text("package:nowhere")
    with pytest.raises(UserError, match=r"has no config\.json"):
        Text(str(tmp_path))
    with pytest.raises(UserError, match=r"the package 'filelock' has no config\.json"):
        Text("package:filelock")


def test_low_rank_adapters_and_layer_decay_reach_the_encoder(model: str) -> None:
    adapted = SourceOnly(backbone=Text(model), task=2, tuning=LoRA(rank=2))
    trained = {name for name, parameter in adapted.backbone.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora" in name for name in trained)
    assert adapted(IDS).logits.shape == (2, 2)
    decayed = SourceOnly(backbone=Text(model), task=2, tuning=LayerDecay(0.5))
    rates = [group["lr_multiplier"] for group in decayed.parameter_groups() if group["name"].startswith("backbone")]
    assert len(set(rates)) == 3  # the embeddings, and each layer
