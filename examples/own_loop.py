"""A loss of tlda in a loop of one's own, without Lightning: `python examples/own_loop.py [STEPS]`."""

import sys

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tlda.losses import mmd

torch.manual_seed(0)
network, head = nn.Sequential(nn.Linear(2, 32), nn.ReLU()), nn.Linear(32, 2)
optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], lr=1e-2)
for step in range(int(sys.argv[1]) if sys.argv[1:] else 200):
    source, target = torch.randn(64, 2), torch.randn(64, 2) + torch.tensor([1.0, 0.0])
    labels = (source[:, 1] > 0).long()
    features, shifted = network(source), network(target)
    loss = cross_entropy(head(features), labels) + mmd(features, shifted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step}: loss {loss.item():.3f}")
