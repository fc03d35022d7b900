"""torch.export and AOTInductor: a network as a shared library, without Python inside.

Source: PyTorch, "AOTInductor: Ahead-Of-Time Compilation for torch.export-ed Models".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from optuna_nas.backends.backend import Backend, Run, register
from optuna_nas.backends.compiler import expect_compiler
from optuna_nas.backends.export import export_program

__all__ = ["AOTInductor"]


@register("aotinductor")
class AOTInductor(Backend):
    """The network exported by `torch.export` and compiled ahead of time by AOTInductor."""

    def check(self, device: str = "cpu") -> None:
        super().check(device)
        expect_compiler()

    def prepare(self, network: nn.Module, example: Tensor, threads: int) -> Run:
        program = export_program(network, example)
        with TemporaryDirectory() as folder:
            package = str(Path(folder) / "network.pt2")
            torch._inductor.aoti_compile_and_package(program, package_path=package)
            index = -1 if example.device.index is None else example.device.index
            loaded = torch._inductor.aoti_load_package(package, device_index=index)
        return partial(loaded, example)
