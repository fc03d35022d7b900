"""Measured time of one forward pass, guarded against the load of the machine."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, ClassVar

from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring import Goal, for_device
from optuna_nas.measuring.network import calibrate, time_network
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement
from optuna_nas.objectives.on_device import OnBackend

__all__ = ["Latency"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Latency(OnBackend):
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
        limit: Seconds after which an attempt ends; a calibration takes 5 to 20 times as long.
        attempts: Attempts before a measurement is refused.

    Raises:
        DescriptionError: An argument is out of its range.
    """

    name: str = "latency"
    unit: str = "ms"
    direction: Direction = "minimize"
    percentile: float = 50.0
    tolerance: float = 0.02
    limit: float = 1.0
    attempts: int = 3
    positive: ClassVar[tuple[str, ...]] = ("batch", "threads", "tolerance", "limit", "attempts")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.percentile < 100:
            raise DescriptionError(
                f"expected a percentile between 0 and 100, got {self.percentile}"
            )

    def __call__(self, candidate: Candidate) -> Measurement:
        calibrated = candidate.calibrations.get(self.name) or self.calibrate()
        goal = Goal(self.percentile, self.tolerance, self.limit, self.attempts)
        found = self.measured(time_network, candidate, goal, calibrated)
        value, spread = found.pop("value"), found.pop("spread")
        return Measurement(value, spread, self.details(percentile=self.percentile, **found))

    def calibrate(self) -> dict[str, Any]:
        """Time the reference networks alone: width -> ms, in the quietest of some passes."""
        found = for_device(self.device).call(calibrate, self.setup, self.limit)
        if found["load"]:
            _logger.warning(
                f"other programs used {found['load']} cores while {self.name} was calibrated: "
                "its values can come out too high; begin the study on a quiet machine"
            )
        return found
