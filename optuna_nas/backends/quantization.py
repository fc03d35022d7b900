"""ONNX file -> ONNX file with 8-bit weights and activations.

Source: Jacob et al. 2018, arXiv:1712.05877; ONNX Runtime, "Quantize ONNX Models".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from optuna_nas.backends.attempt import attempt
from optuna_nas.backends.export import EXTRA, INPUT, PACKAGES
from optuna_nas.backends.require import require

__all__ = ["quantize"]

OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Add", "Mul", "Sigmoid", "Softmax", "Relu", "Clip", "LeakyRelu"),
    *("GlobalAveragePool", "AveragePool", "MaxPool", "Resize", "Pad", "Concat", "Split", "Gather"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice"),
)
"""What ONNX Runtime computes, or moves, as 8-bit integers on a CPU. It would quantise others, such
as layer normalisation, only to compute them in single precision."""


def quantize(model: bytes, calibration: Iterable[Tensor]) -> bytes:
    """Quantise an ONNX file of `export_onnx` statically, after training.

    Activations become unsigned integers of 8 bits between the least and the largest value seen,
    weights signed ones of 7 bits with a scale for each channel. With the eighth bit, processors
    without VNNI instructions saturate; without it, every processor computes the same.

    Args:
        model: Content of the file, in single precision.
        calibration: Inputs (B, ...) such as the network will meet, one batch at least, of a size
            that the file takes.

    Raises:
        MeasurementError: It cannot be quantised, with the reason; or the packages are missing.
    """
    require(EXTRA, *PACKAGES)
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_static

    with TemporaryDirectory() as folder, attempt("the network cannot be quantised", "root"):
        plain, prepared, quantised = (str(Path(folder) / f"{name}.onnx") for name in "pqr")
        Path(plain).write_bytes(model)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            _Reader(calibration),
            op_types_to_quantize=[*OPERATORS],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return Path(quantised).read_bytes()


class _Reader:
    """Batches as ONNX Runtime reads them."""

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch.detach().cpu().numpy()}
