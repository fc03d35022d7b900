"""Laws of every registered objective; a new one is tested without a new test."""

from collections.abc import Callable
from pathlib import Path

import pytest

from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import NAMES, Candidate, Energy, Objective
from optuna_nas.testing import ObjectiveConformance


@pytest.mark.usefixtures("unrefused")
class TestRegisteredObjectives(ObjectiveConformance):
    @pytest.fixture(params=[name for name in sorted(NAMES) if name != "energy"])
    def objective(
        self, request: pytest.FixtureRequest, absent: Callable[[str], object]
    ) -> Objective:
        objective = NAMES[request.param]()
        assert objective.name == request.param
        try:
            objective.check()
        except MeasurementError as missing:  # an extra
            absent(str(missing))
        return objective

    @pytest.fixture
    def candidate(self, trained: Candidate) -> Candidate:
        return trained


class TestEnergy(ObjectiveConformance):
    """Few machines have a counter that may be read."""

    @pytest.fixture
    def objective(self, powercap: Path) -> Objective:
        return Energy(seconds=0.02, passes=3, powercap=str(powercap))

    @pytest.fixture
    def candidate(self, consuming: Candidate) -> Candidate:
        return consuming
