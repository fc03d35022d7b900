"""Measured memory of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass

from optuna_nas.measuring.memory import peak_bytes
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement
from optuna_nas.objectives.on_device import OnDevice

__all__ = ["PeakMemory"]


@dataclass(frozen=True, kw_only=True)
class PeakMemory(OnDevice):
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

    def __call__(self, candidate: Candidate) -> Measurement:
        found = self.measured(peak_bytes, candidate)
        return Measurement(float(sum(found.values())), details=self.details(**found))
