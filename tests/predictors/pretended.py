"""A Latency that counts instead of timing, so that what is predicted is known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna

from optuna_nas.architecture import Architecture, Node
from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import Candidate, FLOPs, Latency, Measurement
from optuna_nas.spaces import CNN

SHAPE = (3, 8, 8)
OUTPUTS = 4
SPACE = CNN(input_shape=SHAPE, blocks=(1, 3), channels=(8, 16), kernels=(3, 5))


@dataclass(frozen=True, kw_only=True)
class Counted(Latency):
    """1 us for each 1,000 FLOPs and each 100 weights; refuses, or stops, where it is told to."""

    refuses: tuple[int, ...] = ()
    stops: int | None = None
    calls: list[Candidate] = field(default_factory=list)

    def calibrate(self) -> dict[str, Any]:
        return {"reference_ms": 1.0}

    def check(self) -> None:
        return

    def __call__(self, candidate: Candidate) -> Measurement:
        self.calls.append(candidate)
        assert candidate.calibrations == {"latency": {"reference_ms": 1.0}}
        if len(self.calls) == self.stops:
            raise KeyboardInterrupt
        if len(self.calls) in self.refuses:
            raise MeasurementError("refused to record a latency")
        return Measurement(counted(candidate), 0.0)


def counted(candidate: Candidate) -> float:
    weights = sum(p.numel() for p in candidate.network.parameters())
    return (FLOPs()(candidate).value / 1000 + weights / 100) * 1e-3


def latency_of(architecture: Architecture) -> float:
    return counted(Candidate(architecture, SHAPE, OUTPUTS))


def draws(count: int, seed: int = 0) -> list[Architecture]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [SPACE(study.ask()) for _ in range(count)]


def branches() -> Architecture:
    """A graph with a node of several inputs."""
    convolution = {"channels": 8, "kernel": 3, "stride": 1, "residual": False, "squeeze": False}
    names: Sequence[str] = ("left", "right")
    nodes = [Node(name, "conv", convolution, ("input",)) for name in names]
    merged = [Node("both", "add", {}, names), Node("classify", "classify", {}, ("both",))]
    return Architecture((*nodes, *merged))
