"""Measured memory of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring import PRECISIONS, Setup, for_device
from optuna_nas.measuring.memory import peak_bytes
from optuna_nas.names import choose
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["PeakMemory"]


@dataclass(frozen=True, kw_only=True)
class PeakMemory(Objective):
    """Most memory held at one time in a forward pass of eager PyTorch: weights and activations.

    Measured, not computed from shapes: on the CPU from every allocation that PyTorch's allocator
    reports to its profiler in one pass on one thread, on a GPU from the statistics of the CUDA
    allocator. The input, buffers, and what operators allocate for themselves while they run
    (reordered weights, scores of attention, workspaces) are part of it. It is exact and repeats
    itself, but belongs to the machine: libraries choose other workspaces on another processor.

    Left out: what does not come from PyTorch's allocator (Python, code, the packing buffers of
    matrix multiplications in BLAS, up to some MB; the CUDA context), what libraries keep between
    passes (cuBLAS's workspace), and what the allocator holds in reserve.

    Args:
        batch: Inputs per forward pass.
        precision: Number format of weights and inputs: fp32, bf16 or fp16.
        device: `cpu`, or a CUDA device such as `cuda:0`.

    Raises:
        DescriptionError: An argument is out of its range.
    """

    name: str = "peak_memory"
    unit: str = "B"
    direction: Direction = "minimize"
    batch: int = 1
    precision: str = "fp32"
    device: str = "cpu"
    stage: ClassVar[Stage] = "model"
    on_device: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise DescriptionError(f"expected PeakMemory(batch=...) above 0, got {self.batch}")
        choose("precision", self.precision, PRECISIONS)

    def check(self) -> None:
        """Raise a MeasurementError where the device is absent."""
        self._setup.check()

    def __call__(self, candidate: Candidate) -> Measurement:
        example = candidate.example(self.batch)
        process = for_device(self.device)
        found = process.call(peak_bytes, candidate.network, example, self._setup)
        how = {"backend": "eager", "batch": self.batch, "precision": self.precision}
        return Measurement(float(sum(found.values())), details=how | found)

    @cached_property
    def _setup(self) -> Setup:
        return Setup("eager", self.device, 1, self.precision)
