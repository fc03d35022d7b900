"""An objective that depends on the device, and costs nothing to measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from optuna_nas.objectives import Candidate, Measurement, Objective


@dataclass(frozen=True, kw_only=True)
class Metered(Objective):
    """Time of a device that takes `scale` ms for each parameter."""

    name: str = "metered"
    unit: str = "ms"
    direction: str = "minimize"
    stage: ClassVar[str] = "model"
    on_device: ClassVar[bool] = True
    scale: ClassVar[float] = 0.1
    seen: ClassVar[list[float]] = []

    def __call__(self, candidate: Candidate) -> Measurement:
        parameters = sum(p.numel() for p in candidate.network.parameters())
        value = parameters * candidate.calibrations["metered"]["scale"]
        self.seen.append(value)
        return Measurement(value, 0.01 * value, {"backend": "abacus", "threads": 1, "passes": 4})

    def calibrate(self) -> dict[str, Any]:
        return {"scale": Metered.scale}
