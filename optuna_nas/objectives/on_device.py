"""Quantities of an untrained network that are measured on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from optuna_nas import backends
from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring import PRECISIONS, Setup, device, for_device
from optuna_nas.names import choose
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Objective, Stage

__all__ = ["OnBackend", "OnDevice"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class OnDevice(Objective):
    """A quantity of a forward pass in eager PyTorch on one thread.

    Args:
        batch: Inputs per forward pass.
        precision: Number format of weights and inputs: fp32, bf16 or fp16.
        device: `cpu`, or a CUDA device such as `cuda:0`.

    Raises:
        DescriptionError: An argument is out of its range.
    """

    batch: int = 1
    precision: str = "fp32"
    device: str = "cpu"
    stage: ClassVar[Stage] = "model"
    on_device: ClassVar[bool] = True
    positive: ClassVar[tuple[str, ...]] = ("batch",)

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in self.positive:
            if getattr(self, field) <= 0:
                raise DescriptionError(
                    f"expected {type(self).__name__}({field}=...) above 0, "
                    f"got {getattr(self, field)}"
                )
        choose("precision", self.precision, PRECISIONS)
        choose("backend", self.setup.backend, backends.BACKENDS)

    def check(self) -> None:
        """Raise a MeasurementError where the device or the backend is not there."""
        self.setup.check()
        backends.find(self.setup.backend)().check(self.device)

    @property
    def setup(self) -> Setup:
        """How the network runs."""
        return Setup(device=self.device, precision=self.precision)

    def measured(self, function: Callable[..., T], candidate: Candidate, *arguments: Any) -> T:
        """What a function of network, example, setup and more returns in the measuring process."""
        example = candidate.example(self.batch)
        process = for_device(self.device)
        return process.call(function, candidate.network, example, self.setup, *arguments)

    def details(self, **found: Any) -> dict[str, Any]:
        """How it was measured, and what was found beside the value, for the record."""
        return {
            "backend": self.setup.backend,
            "backend_version": backends.find(self.setup.backend)().version(),
            "batch": self.batch,
            "threads": self.setup.threads,
            "precision": self.precision,
            **found,
            "device": device.fingerprint(self.device),
        }


@dataclass(frozen=True, kw_only=True)
class OnBackend(OnDevice):
    """A quantity of a forward pass in a backend.

    Args:
        threads: Threads of the CPU that the network may use.
        backend: What runs the network: eager, compile, aotinductor, onnxruntime ...
    """

    threads: int = 1
    backend: str = "eager"
    positive: ClassVar[tuple[str, ...]] = ("batch", "threads")

    @property
    def setup(self) -> Setup:
        """How the network runs."""
        return Setup(self.backend, self.device, self.threads, self.precision)
