"""Laws of an objective."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import asdict
from typing import Any

import pytest
import torch

from optuna_nas.objectives import STAGES, Candidate, Measurement, Objective

__all__ = ["ObjectiveConformance"]


class ObjectiveConformance:
    """Laws of an objective. Subclass it with fixtures `objective` and `candidate`.

    The candidate is as the objective finds it: one of stage `trained` with trained weights, data,
    and the metrics that were logged.
    """

    beyond = 0.25
    """Share of the value by which repeats of a noisy quantity may differ beside their spread."""
    repeats = 10
    """Repeats of a noisy quantity of which two in a row must agree: machines have bad moments."""

    def test_it_is_described_in_full(self, objective: Objective) -> None:
        assert objective.name.isidentifier()
        assert objective.direction in ("minimize", "maximize")
        assert objective.stage in STAGES
        assert objective.label == f"{objective.name} ({objective.unit})" or not objective.unit
        assert type(objective).__doc__

    def test_json_makes_the_same_objective_again(self, objective: Objective) -> None:
        described = json.loads(json.dumps(asdict(objective)))
        assert type(objective)(**described) == objective

    def test_it_can_be_pickled(self, objective: Objective) -> None:
        assert pickle.loads(pickle.dumps(objective)) == objective

    def test_a_cap_is_taken(self, objective: Objective) -> None:
        capped = type(objective)(**{**asdict(objective), "max": 2.0})
        assert capped.violation(3.0) == 0.5

    def test_what_a_study_shares_is_json(self, objective: Objective) -> None:
        objective.check()
        shared = objective.calibrate()
        assert json.loads(json.dumps(shared)) == shared

    def test_measurements_are_finite_and_recorded_as_json(
        self, objective: Objective, candidate: Candidate
    ) -> None:
        measurement = self.measure(objective, candidate)
        assert math.isfinite(measurement.value)
        assert measurement.spread is None or 0 <= measurement.spread < math.inf
        assert json.loads(json.dumps(dict(measurement.details))) == measurement.details

    def test_measurements_repeat_themselves_within_their_spread(
        self, objective: Objective, candidate: Candidate
    ) -> None:
        before = self.measure(objective, candidate)
        for _ in range(self.repeats):
            after = self.measure(objective, candidate)
            if self.agree(before, after):
                return
            assert before.spread is not None, f"{before.value} and then {after.value}"
            before = after
        pytest.fail(f"no two of {self.repeats} repeats agreed, last {before} and {after}")

    def test_measuring_changes_nothing(self, objective: Objective, candidate: Candidate) -> None:
        before = self.state(candidate)
        self.measure(objective, candidate)
        assert self.state(candidate) == before

    def test_the_test_split_is_not_touched(
        self, objective: Objective, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if candidate.data is None:
            return
        stages: set[str] = set()
        setup = candidate.data.setup

        def watched(stage: str) -> None:
            stages.add(stage)
            setup(stage)

        monkeypatch.setattr(candidate.data, "setup", watched)
        monkeypatch.setattr(candidate.data, "test_dataloader", lambda: pytest.fail("test loaded"))
        self.measure(objective, candidate)
        assert stages <= {"fit", "validate"}

    def measure(self, objective: Objective, candidate: Candidate) -> Measurement:
        """Measure as a search does, by what was calibrated once."""
        if objective.name not in candidate.calibrations:
            shared = objective.calibrate()
            if shared is not None:
                candidate.calibrations = {**candidate.calibrations, objective.name: shared}
        return objective(candidate)

    def agree(self, first: Measurement, second: Measurement) -> bool:
        """Whether two measurements of one network are equal, within noise where there is some."""
        if first.spread is None or second.spread is None:
            return first.value == second.value
        allowed = self.beyond * max(abs(first.value), abs(second.value))
        return abs(first.value - second.value) <= allowed + first.spread + second.spread

    def state(self, candidate: Candidate) -> dict[str, Any]:
        """What the next trial, or the report of this one, would find changed."""
        network = candidate.network
        return {
            "modes": [module.training for module in network.modules()],
            "gradients": torch.is_grad_enabled(),
            "threads": torch.get_num_threads(),
            "random": content(torch.random.get_rng_state()),
            **{name: content(value) for name, value in network.state_dict().items()},
        }


def content(tensor: torch.Tensor) -> bytes:
    """The numbers of a tensor, to compare."""
    return bytes(tensor.cpu().reshape(-1).view(torch.uint8).numpy())
