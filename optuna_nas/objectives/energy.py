"""Measured energy of one inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from optuna_nas.measuring import for_device
from optuna_nas.measuring.counters import POWERCAP, counter_of
from optuna_nas.measuring.energy import idle_power, joules_per_run
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement
from optuna_nas.objectives.on_device import OnBackend

__all__ = ["Energy"]


@dataclass(frozen=True, kw_only=True)
class Energy(OnBackend):
    """Energy of one inference by the machine's own counter, in mJ: the median of some passes.

    In each pass the network runs over and over, from one step of the counter to a later one. The
    counter is that of the whole device: on the CPU RAPL over all processor packages, without the
    memory modules; on a GPU NVML over the whole board. So everything that it takes meanwhile is
    in the value: what it would take idle, which is measured once for a study and recorded beside
    (`idle_watts`) but not subtracted, and what other programs do; our own trainings pause. A
    machine without a counter is refused, since an estimate is no measurement.

    Args:
        batch: Inputs per forward pass; the energy of a pass is shared among them.
        threads: Threads of the CPU that the network may use.
        precision: Number format of weights and inputs: fp32, bf16 or fp16.
        backend: What runs the network, as in `Latency`.
        device: `cpu`, or a CUDA device such as `cuda:0`.
        passes: How often to measure.
        seconds: How long a pass lasts at least.
        powercap: Where Linux shows the counters of the processor.

    Raises:
        DescriptionError: An argument is out of its range.
    """

    name: str = "energy"
    unit: str = "mJ"
    direction: Direction = "minimize"
    passes: int = 5
    seconds: float = 0.3
    powercap: str = POWERCAP
    positive: ClassVar[tuple[str, ...]] = ("batch", "threads", "passes", "seconds")

    def check(self) -> None:
        """Raise a MeasurementError where the device, its counter or the backend is absent."""
        super().check()
        counter_of(self.device, self.powercap)

    def __call__(self, candidate: Candidate) -> Measurement:
        shared = candidate.calibrations.get(self.name) or self.calibrate()
        how = self.passes, self.seconds, self.powercap
        found = self.measured(joules_per_run, candidate, *how)
        millijoules = 1e3 / self.batch
        value, spread = found.pop("joules") * millijoules, found.pop("spread") * millijoules
        return Measurement(value, spread, self.details(passes=self.passes, **found, **shared))

    def calibrate(self) -> dict[str, Any]:
        """Measure what the device takes while we do nothing, in W."""
        self.check()
        process = for_device(self.device)
        watts = process.call(idle_power, self.setup, self.seconds, self.powercap)
        return {"idle_watts": round(watts, 3)}
