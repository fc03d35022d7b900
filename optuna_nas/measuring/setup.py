"""How a forward pass is run while it is timed: part of every record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from optuna_nas.exceptions import MeasurementError

__all__ = ["PRECISIONS", "Setup", "limited"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Setup:
    """Where and how networks run while they are timed.

    Args:
        backend: Name of the backend that runs them.
        device: `cpu`, or a CUDA device such as `cuda:0`.
        threads: Threads of the CPU that they may use.
        precision: Number format of weights and inputs, of `PRECISIONS`.
    """

    backend: str = "eager"
    device: str = "cpu"
    threads: int = 1
    precision: str = "fp32"

    @property
    def dtype(self) -> torch.dtype:
        """Number format of weights and inputs."""
        return PRECISIONS[self.precision]

    def check(self) -> None:
        """Raise a MeasurementError where the device is absent."""
        if not self.device.startswith("cuda"):
            return
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (torch.device(self.device).index or 0) >= count:
            raise MeasurementError(
                f"expected the device {self.device}, got a machine with {count} CUDA devices; "
                "measure on the CPU with device='cpu', or where the device is"
            )

    def place(self, tensor_or_network: Any) -> Any:
        """A network, or a tensor of floating-point numbers, on the device in the precision."""
        if (
            isinstance(tensor_or_network, torch.Tensor)
            and not tensor_or_network.is_floating_point()
        ):
            return tensor_or_network.to(self.device)
        return tensor_or_network.to(self.device, self.dtype)


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads of the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
