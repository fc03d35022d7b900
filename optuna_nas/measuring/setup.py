"""How a forward pass is run while it is timed: part of every record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from optuna_nas import backends
from optuna_nas.backends.attempt import attempt
from optuna_nas.exceptions import MeasurementError

__all__ = ["PRECISIONS", "Setup"]

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
        """Raise a MeasurementError where the device is unknown or absent."""
        try:
            device = torch.device(self.device)
        except RuntimeError:
            device = torch.device("meta")
        if device.type not in ("cpu", "cuda"):
            raise MeasurementError(
                f"expected the device cpu, or a CUDA device such as cuda:0, got {self.device!r}"
            )
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if device.type == "cuda" and (device.index or 0) >= count:
            raise MeasurementError(
                f"expected the device {self.device}, got a machine with {count} CUDA devices; "
                "measure on the CPU with device='cpu', or where the device is"
            )

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Run networks on the device, which is the current one, with so many threads of the CPU.

        Raises:
            MeasurementError: In the place of whatever is raised inside.
        """
        before = torch.get_num_threads()
        on_gpu = self.device.startswith("cuda")
        torch.set_num_threads(self.threads)
        try:
            with (
                attempt(f"the network cannot be measured on {self.device}"),
                torch.cuda.device(self.device) if on_gpu else nullcontext(),
                torch.inference_mode(),
            ):
                yield
        finally:
            torch.set_num_threads(before)

    def place(self, tensor_or_network: Any) -> Any:
        """A network, or a tensor of floating-point numbers, on the device in the precision."""
        if (
            isinstance(tensor_or_network, torch.Tensor)
            and not tensor_or_network.is_floating_point()
        ):
            return tensor_or_network.to(self.device)
        return tensor_or_network.to(self.device, self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """Beside the fields the backend itself, which the user's script may define."""
        return {**vars(self), "registered": backends.find(self.backend)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        backends.BACKENDS[state["backend"]] = state.pop("registered")
        vars(self).update(state)
