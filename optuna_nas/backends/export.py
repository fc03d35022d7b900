"""network -> exported program, or ONNX file."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from optuna_nas.backends.attempt import attempt
from optuna_nas.backends.require import require

__all__ = ["EXTRA", "INPUT", "PACKAGES", "export_onnx", "export_program"]

EXTRA = "onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
INPUT = "input"
"""Name of the input of every ONNX file."""

_NOISY = (
    "torch.export._trace",
    "torch.fx.experimental.symbolic_shapes",
    "torch.onnx._internal.exporter._registration",
)


def export_program(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Export a network by `torch.export`, for inputs of the example's shape.

    Args:
        network: In evaluation mode.
        example: One input (B, ...).

    Raises:
        MeasurementError: It cannot be exported, with the reason.
    """
    with attempt("torch.export cannot export the network", *_NOISY), torch.inference_mode():
        return torch.export.export(network, (example,))


def export_onnx(network: nn.Module, example: Tensor, dynamic_batch: bool = False) -> bytes:
    """Export a network as an ONNX file with its weights, batch normalisation folded.

    Equal networks make equal files: which code built them, and where, is left out.

    Args:
        network: In evaluation mode.
        example: One input (B, ...); in the file it is named `input`.
        dynamic_batch: Whether the file takes batches of any size, or those of the example alone.

    Raises:
        MeasurementError: It cannot be exported, with the reason; or the packages are missing.
    """
    require(EXTRA, *PACKAGES)
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    failing = attempt("the network cannot be exported to ONNX", *_NOISY)
    with failing, torch.inference_mode(), _without_collecting():
        program: Any = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            dynamic_shapes=({0: "batch"},) if dynamic_batch else None,
        )
        ClearMetadataAndDocStringPass()(program.model)
        return bytes(program.model_proto.SerializeToString(deterministic=True))


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Collecting garbage takes a fifth of an export, and finds next to nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
