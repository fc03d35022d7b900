"""Laws of every registered objective; a new one is tested without a new test."""

import os
from pathlib import Path

import pytest
from quiet import measure

from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import NAMES, Candidate, Energy, Measurement, Objective
from optuna_nas.testing import ObjectiveConformance


class TestRegisteredObjectives(ObjectiveConformance):
    @pytest.fixture(params=[name for name in sorted(NAMES) if name != "energy"])
    def objective(self, request: pytest.FixtureRequest) -> Objective:
        objective = NAMES[request.param]()
        assert objective.name == request.param
        try:
            objective.check()
        except MeasurementError as missing:  # an extra
            pytest.fail(str(missing)) if os.environ.get("CI") == "true" else pytest.skip(
                str(missing)
            )
        return objective

    @pytest.fixture
    def candidate(self, trained: Candidate) -> Candidate:
        return trained

    def take(self, objective: Objective, candidate: Candidate) -> Measurement:
        return measure(objective, candidate)


class TestEnergy(ObjectiveConformance):
    """Few machines have a counter that may be read."""

    @pytest.fixture
    def objective(self, powercap: Path) -> Objective:
        return Energy(seconds=0.02, passes=3, powercap=str(powercap))

    @pytest.fixture
    def candidate(self, consuming: Candidate) -> Candidate:
        return consuming
