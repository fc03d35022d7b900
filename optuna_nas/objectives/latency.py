"""Measured time of one forward pass, guarded against the load of the machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from optuna_nas import backends
from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring import PRECISIONS, Goal, Setup, device, for_device
from optuna_nas.measuring.network import calibrate, time_network
from optuna_nas.names import choose
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["Latency"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Latency(Objective):
    """Time of one forward pass in evaluation and inference mode, in ms: the median of many.

    Fixed reference networks run in turn with the candidate, run by run; its time is divided by
    their slowdown, which is their time over the one calibrated once for the study: load that
    slows all alike cancels out. Passes are repeated until the confidence interval of the value is
    within the tolerance, or until the limit, and the record says which. Where the references were
    slowed too much, or the passes disagree, it is measured again, and in the end refused with the
    reason.

    Measurements run in a process of their own, one at a time on a host, while the trainings of
    our workers there pause.

    Args:
        batch: Inputs per forward pass.
        threads: Threads of the CPU that the network may use.
        precision: Number format of weights and inputs: fp32, bf16 or fp16.
        backend: What runs the network: eager, compile, aotinductor, onnxruntime, onnxruntime-int8.
        device: `cpu`, or a CUDA device such as `cuda:0`.
        percentile: Of the times of single runs: 50 for the median, 95 for a slow one.
        tolerance: Half-width of the 95 % confidence interval to reach, relative to the value.
        limit: Seconds after which an attempt ends.
        attempts: Attempts before a measurement is refused.

    Raises:
        DescriptionError: An argument is out of its range.
    """

    name: str = "latency"
    unit: str = "ms"
    direction: Direction = "minimize"
    batch: int = 1
    threads: int = 1
    precision: str = "fp32"
    backend: str = "eager"
    device: str = "cpu"
    percentile: float = 50.0
    tolerance: float = 0.02
    limit: float = 1.0
    attempts: int = 3
    stage: ClassVar[Stage] = "model"
    on_device: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("batch", "threads", "tolerance", "limit", "attempts"):
            if getattr(self, field) <= 0:
                raise DescriptionError(
                    f"expected Latency({field}=...) above 0, got {getattr(self, field)}"
                )
        if not 0 < self.percentile < 100:
            raise DescriptionError(
                f"expected a percentile between 0 and 100, got {self.percentile}"
            )
        choose("precision", self.precision, PRECISIONS)
        choose("backend", self.backend, backends.BACKENDS)

    def check(self) -> None:
        """Raise a MeasurementError where the device or the backend is not there."""
        self._setup.check()
        backends.find(self.backend)().check(self.device)

    def __call__(self, candidate: Candidate) -> Measurement:
        calibrated = candidate.calibrations.get(self.name) or self.calibrate()
        goal = Goal(self.percentile, self.tolerance, self.limit, self.attempts)
        found = for_device(self.device).call(
            time_network,
            candidate.network,
            candidate.example(self.batch),
            self._setup,
            goal,
            calibrated,
        )
        value, spread = found.pop("value"), found.pop("spread")
        details = {
            "backend": self.backend,
            "backend_version": backends.find(self.backend)().version(),
            "batch": self.batch,
            "threads": self.threads,
            "precision": self.precision,
            "percentile": self.percentile,
            **found,
            "device": device.fingerprint(self.device),
        }
        return Measurement(value, spread, details)

    def calibrate(self) -> dict[str, Any]:
        """Time the reference networks alone: width -> ms, in the quietest of some passes."""
        found = for_device(self.device).call(calibrate, self._setup)
        if found["load"]:
            _logger.warning(
                f"other programs used {found['load']} cores while {self.name} was calibrated: "
                "its values can come out too high; begin the study on a quiet machine"
            )
        return found

    @cached_property
    def _setup(self) -> Setup:
        return Setup(self.backend, self.device, self.threads, self.precision)
