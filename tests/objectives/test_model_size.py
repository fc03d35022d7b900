"""Bytes on disk, as exported."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from optuna_nas import backends
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.objectives import Candidate, ModelSize


def candidate(width: int = 64) -> Candidate:
    return Candidate(nn.Sequential(nn.Linear(width, width), nn.ReLU()), (width,), width)


@pytest.mark.usefixtures("onnxruntime")
def test_it_is_the_size_of_the_file(tmp_path: Path) -> None:
    one, file = candidate(), tmp_path / "network.onnx"
    file.write_bytes(backends.export_onnx(one.network.eval(), one.example()))
    measurement = ModelSize()(one)
    assert measurement.value == file.stat().st_size
    assert measurement.spread is None
    assert measurement.details == {"format": "onnx"}


@pytest.mark.usefixtures("onnxruntime")
def test_weights_take_four_bytes_and_quantised_ones_one() -> None:
    small, large = candidate(64), candidate(256)
    added = 256 * 256 - 64 * 64
    for form, size in (("onnx", 4), ("onnx-int8", 1), ("state_dict", 4)):
        objective = ModelSize(format=form)
        difference = objective(large).value - objective(small).value
        assert size * added <= difference < 1.1 * size * added + 4_000, form


def test_the_state_dict_is_what_torch_saves(tmp_path: Path) -> None:
    one, file = candidate(), tmp_path / "weights.pt"
    torch.save(one.network.state_dict(), file)
    assert abs(ModelSize(format="state_dict")(one).value - file.stat().st_size) < 100


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(DescriptionError, match="expected a format among onnx, onnx-int8"):
        ModelSize(format="pickle")


def test_a_missing_exporter_is_known_before_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MeasurementError, match=r'pip install "optuna-nas\[onnx\]"'):
        ModelSize().check()
    ModelSize(format="state_dict").check()
