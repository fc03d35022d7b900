"""ONNX Runtime."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optuna_nas.backends.backend import Backend, Run, register
from optuna_nas.backends.export import EXTRA, INPUT, PACKAGES, export_onnx
from optuna_nas.backends.session import expect_provider, session
from optuna_nas.exceptions import MeasurementError

__all__ = ["ONNXRuntime"]


@register("onnxruntime")
class ONNXRuntime(Backend):
    """ONNX Runtime on the CPU, or on a GPU by its CUDA provider, all graph optimisations on.

    Input and outputs are bound to PyTorch's memory on the device, so that no pass copies them.
    """

    extra = EXTRA
    packages = PACKAGES
    references = "onnxruntime"

    def check(self, device: str = "cpu") -> None:
        super().check(device)
        expect_provider(device)

    def prepare(self, network: nn.Module, example: Tensor, threads: int) -> Run:
        example = example.contiguous()
        outputs = _outputs(network(example))
        opened = session(self.model(network, example), threads, example.device)
        binding = opened.io_binding()
        _bind(binding.bind_input, INPUT, example)
        for output, tensor in zip(opened.get_outputs(), outputs, strict=True):
            _bind(binding.bind_output, output.name, tensor)
        if example.is_cuda:
            torch.cuda.synchronize(example.device)  # ONNX Runtime works in a stream of its own
        return partial(
            _run, opened, binding, outputs[0] if len(outputs) == 1 else outputs, example
        )

    def model(self, network: nn.Module, example: Tensor) -> bytes:
        """The ONNX file that is run."""
        return export_onnx(network, example)

    def version(self) -> str:
        self.check()
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"


def _run(opened: Any, binding: Any, outputs: object, *_: Tensor) -> object:
    """Run a session, to the end on a GPU too; the rest is what it reads, which must live on."""
    opened.run_with_iobinding(binding)
    return outputs


def _outputs(returned: Any) -> tuple[Tensor, ...]:
    """Tensors like those that a network has returned, for ONNX Runtime to write to."""
    outputs = returned if isinstance(returned, tuple | list) else (returned,)
    if not all(isinstance(output, Tensor) for output in outputs):
        raise MeasurementError(
            "expected a network that returns a tensor, or a tuple of tensors, to run in ONNX "
            f"Runtime, got {type(returned).__name__}; wrap it in a module that returns tensors"
        )
    return tuple(torch.empty_like(o, memory_format=torch.contiguous_format) for o in outputs)


def _bind(bind: Any, name: str, tensor: Tensor) -> None:
    where = tensor.device.type, tensor.device.index or 0
    bind(name, *where, _element(tensor.dtype), list(tensor.shape), tensor.data_ptr())


def _element(dtype: torch.dtype) -> int:
    """ONNX's number of a number format."""
    from onnx import TensorProto

    ours = str(dtype).removeprefix("torch.").upper()
    return int(
        TensorProto.DataType.Value({"FLOAT32": "FLOAT", "FLOAT64": "DOUBLE"}.get(ours, ours))
    )
