"""Bytes that a network takes on disk."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from optuna_nas.backends import export_onnx
from optuna_nas.backends.onnxruntime import ONNXRuntime
from optuna_nas.backends.onnxruntime_int8 import ONNXRuntimeInt8
from optuna_nas.names import choose
from optuna_nas.objectives.candidate import Candidate, evaluating
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["ModelSize"]


@dataclass(frozen=True, kw_only=True)
class ModelSize(Objective):
    """Bytes on disk of the network as exported, exact: weights, graph and all.

    Args:
        format: `onnx` for an ONNX file, `onnx-int8` for one quantised to 8 bits, `state_dict` for
            the weights as PyTorch saves them.

    Raises:
        DescriptionError: An unknown format.
    """

    name: str = "model_size"
    unit: str = "B"
    direction: Direction = "minimize"
    format: str = "onnx"
    stage: ClassVar[Stage] = "model"

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("format", self.format, FORMATS)

    def check(self) -> None:
        """Raise a MeasurementError where what writes the format is not installed."""
        if self.format != "state_dict":
            ONNXRuntime().check()

    def __call__(self, candidate: Candidate) -> Measurement:
        network = candidate.network
        with evaluating(network):
            file = FORMATS[self.format](network, candidate.example())
        return Measurement(float(len(file)), details={"format": self.format})


def _state_dict(network: nn.Module, example: Tensor) -> bytes:
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    return file.getvalue()


FORMATS: dict[str, Callable[[nn.Module, Tensor], bytes]] = {
    "onnx": export_onnx,
    "onnx-int8": ONNXRuntimeInt8().model,
    "state_dict": _state_dict,
}
