"""Accuracy lost by int8: none to speak of, or all, and counted on the right data."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from optuna_nas import backends
from optuna_nas.datasets import ArrayDataModule
from optuna_nas.exceptions import DataError, DescriptionError, MeasurementError
from optuna_nas.objectives import Candidate, QuantizationDrop

X = np.random.default_rng(0).normal(size=(300, 2))
Y = (X[:, 0] > 0).astype(int)


pytestmark = pytest.mark.usefixtures("onnxruntime")


def classes() -> ArrayDataModule:
    return ArrayDataModule(X, Y, batch_size=30, standardise=False)


def by_first_input(beside: float) -> nn.Module:
    """Classes by the sign of the first input, beside a feature that goes nowhere."""
    first, last = nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, beside]]))
        last.weight.copy_(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))
    return nn.Sequential(first, last)


def test_a_trained_network_loses_little(trained: Candidate) -> None:
    found = QuantizationDrop()(trained)
    assert abs(found.value) < 0.03
    right = [trained.network.eval()(x).argmax(1) == y for x, y in trained.batches("validation")]
    trained.network.train()
    assert found.details["accuracy_fp32"] == pytest.approx(torch.cat(right).float().mean())
    assert found.details["examples"] == sum(map(len, right))
    assert found.details["backend_version"].startswith("onnxruntime ")


def test_an_outlying_channel_costs_all_accuracy() -> None:
    """Activations share one scale: beside values of 10,000 a step of 8 bits is far over 1."""
    harmless, spoiled = (
        QuantizationDrop()(Candidate(by_first_input(beside), (2,), 2, data=classes()))
        for beside in (1.0, 1e4)
    )
    assert harmless.details["accuracy_fp32"] == spoiled.details["accuracy_fp32"] == 1.0
    assert harmless.value < 0.05
    assert 0.3 < spoiled.value < 0.7
    assert spoiled.value == 1.0 - spoiled.details["accuracy_int8"]


def test_ranges_come_from_training_data(monkeypatch) -> None:
    seen = []
    quantize = backends.quantize

    def watched(model, calibration):
        seen.extend(calibration)
        return quantize(model, seen)

    monkeypatch.setattr(backends, "quantize", watched)
    data = classes()
    QuantizationDrop(calibration=3)(Candidate(by_first_input(1.0), (2,), 2, data=data))
    assert [len(x) for x in seen] == [30, 30, 30]
    training = {tuple(row) for row in data.train_dataloader().dataset[:][0].tolist()}
    assert {tuple(row) for row in torch.cat(seen).tolist()} <= training


def test_a_regression_has_no_accuracy_to_lose() -> None:
    data = ArrayDataModule(X, X[:, 0], batch_size=30)
    with pytest.raises(DataError, match=r"targets \(B,\) of classes.*got torch.float32"):
        QuantizationDrop()(Candidate(nn.Linear(2, 1), (2,), 1, data=data))


def test_a_network_that_cannot_be_exported_says_why() -> None:
    class Branching(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if math.sqrt(abs(float(x.sum()))) < 5 else -x)

    with pytest.raises(MeasurementError, match="cannot be exported to ONNX"):
        QuantizationDrop()(Candidate(Branching(2, 2), (2,), 2, data=classes()))


def test_calibration_takes_a_batch_at_least() -> None:
    with pytest.raises(DescriptionError, match="calibration"):
        QuantizationDrop(calibration=0)
