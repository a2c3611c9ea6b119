"""The probe of features is the logistic regression of scikit-learn."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from tlda.tasks import Classification
from tlda.training.probing import Probe


def test_the_probe_is_the_regression_of_scikit_learn() -> None:
    torch.manual_seed(0)
    labels = torch.arange(90) % 3
    features = torch.randn(90, 5) + 1.5 * torch.eye(5)[labels] + 7
    task = Classification(["a", "b", "c"])
    probe = Probe(task, 5)
    probe.fit(task, features, labels, decay=0.01, steps=200)
    scaled = ((features - features.mean(0)) / features.std(0, correction=0)).double().numpy()
    # Its C weighs the sum of the losses against half the squared weights; the bias, penalised here alone, has hardly any.
    expected = LogisticRegression(C=1 / (2 * 0.01 * 90), max_iter=1000, tol=1e-8).fit(scaled, labels.numpy())
    np.testing.assert_allclose(probe(features).softmax(1).numpy(), expected.predict_proba(scaled), atol=0.01)
    assert not any(parameter.requires_grad for parameter in probe.parameters())
