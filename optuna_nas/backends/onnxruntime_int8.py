"""ONNX Runtime with 8-bit integers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from optuna_nas.backends.backend import register
from optuna_nas.backends.onnxruntime import ONNXRuntime
from optuna_nas.backends.quantization import quantize
from optuna_nas.exceptions import MeasurementError

__all__ = ["ONNXRuntimeInt8"]

CALIBRATION_BATCHES = 4


@register("onnxruntime-int8")
class ONNXRuntimeInt8(ONNXRuntime):
    """ONNX Runtime on the CPU, weights and activations quantised to 8 bits after training.

    Args:
        calibration: Inputs (B, ...) from which the ranges of the activations are learned; random
            ones by default, which is all that latency and size need.
    """

    devices = ("cpu",)

    def __init__(self, calibration: Iterable[Tensor] | None = None) -> None:
        self.calibration = None if calibration is None else tuple(calibration)

    def model(self, network: nn.Module, example: Tensor) -> bytes:
        if example.dtype != torch.float32:
            raise MeasurementError(
                f"expected a network in fp32 to quantise to 8 bits, got {example.dtype}; "
                "leave the precision at fp32"
            )
        return quantize(super().model(network, example), self.calibration or _random(example))


def _random(example: Tensor) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(example.shape, generator=generator) for _ in range(CALIBRATION_BATCHES)]
