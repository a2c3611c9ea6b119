"""``tlda translate``: write a source in the look of a target."""

from __future__ import annotations

import argparse
from pathlib import Path

from tlda.errors import Arguments
from tlda.training.named import find


def translate(args: list[str]) -> None:
    """Run the command ``tlda translate`` with ``args``."""
    parser = Arguments(prog="tlda translate", description="Write a source in the look of a target, as a data set to train on.")
    parser.add_argument("checkpoint", type=Path, help="the checkpoint of a method that translates, such as CycleGAN")
    parser.add_argument("--source", help="the domain to translate; by default the source that it was trained on")
    parser.add_argument("--root", help="the folder of the data; by default that of the training, or TLDA_DATA")
    parser.add_argument("--out", type=Path, required=True, help="the folder that is written; a run that was ended goes on in it")
    options: argparse.Namespace = parser.parse_args(args)
    find(options.checkpoint)
    from tlda.config.build import translate_checkpoint  # with torch, which --help and a mistyped option need not wait for

    count = translate_checkpoint(options.checkpoint, options.out, {"source": options.source, "root": options.root})
    print(f"tlda: {count} translated images are in {options.out}; train on them with --data.translated.folder {options.out}")
