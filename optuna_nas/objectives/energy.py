"""Measured energy of one inference."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from optuna_nas import backends
from optuna_nas.exceptions import DescriptionError
from optuna_nas.measuring import PRECISIONS, Setup, device, for_device
from optuna_nas.measuring.counters import POWERCAP, counter_of
from optuna_nas.measuring.energy import idle_power, joules_per_run
from optuna_nas.names import choose
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import Direction, Measurement, Objective, Stage

__all__ = ["Energy"]


@dataclass(frozen=True, kw_only=True)
class Energy(Objective):
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
    batch: int = 1
    threads: int = 1
    precision: str = "fp32"
    backend: str = "eager"
    device: str = "cpu"
    passes: int = 5
    seconds: float = 0.3
    powercap: str = POWERCAP
    stage: ClassVar[Stage] = "model"
    on_device: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("batch", "threads", "passes", "seconds"):
            if getattr(self, field) <= 0:
                raise DescriptionError(
                    f"expected Energy({field}=...) above 0, got {getattr(self, field)}"
                )
        choose("precision", self.precision, PRECISIONS)
        choose("backend", self.backend, backends.BACKENDS)

    def check(self) -> None:
        """Raise a MeasurementError where the device, its counter or the backend is absent."""
        self._setup.check()
        counter_of(self.device, self.powercap)
        backends.find(self.backend)().check(self.device)

    def __call__(self, candidate: Candidate) -> Measurement:
        shared = candidate.calibrations.get(self.name) or self.calibrate()
        found = for_device(self.device).call(
            joules_per_run,
            candidate.network,
            candidate.example(self.batch),
            self._setup,
            self.passes,
            self.seconds,
            self.powercap,
        )
        millijoules = 1e3 / self.batch
        value, spread = found.pop("joules") * millijoules, found.pop("spread") * millijoules
        details = {
            "backend": self.backend,
            "backend_version": backends.find(self.backend)().version(),
            "batch": self.batch,
            "threads": self.threads,
            "precision": self.precision,
            "passes": self.passes,
            **found,
            **shared,
            "device": device.fingerprint(self.device),
        }
        return Measurement(value, spread, details)

    def calibrate(self) -> dict[str, Any]:
        """Measure what the device takes while we do nothing, in W."""
        self.check()
        process = for_device(self.device)
        watts = process.call(idle_power, self._setup, self.seconds, self.powercap)
        return {"idle_watts": round(watts, 3)}

    @cached_property
    def _setup(self) -> Setup:
        return Setup(self.backend, self.device, self.threads, self.precision)
