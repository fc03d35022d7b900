"""Energy: shared exactly among the runs, wrapped counters, and a clear refusal."""

from pathlib import Path

import pytest
import torch

from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.measuring import Setup, energy
from optuna_nas.measuring.counters import RAPL
from optuna_nas.objectives import Candidate, Energy


def test_the_counter_is_shared_among_the_runs(powercap: Path, consuming: Candidate) -> None:
    """Some 1,000 runs of 5 mJ: the counter, of 100 J, begins again once."""
    found = Energy(seconds=0.02, powercap=str(powercap))(consuming)
    assert found.value == pytest.approx(5.0, rel=1e-9)
    assert found.spread == pytest.approx(0.0, abs=1e-9)
    assert found.details["counter"] == "RAPL of 1 processor packages"
    assert found.details["idle_watts"] == 0
    assert found.details["watts"] > 0
    assert found.details["runs"] >= 5
    assert found.details["backend"] == "eager"


def test_inputs_of_a_batch_share_a_run(powercap: Path, consuming: Candidate) -> None:
    found = Energy(batch=4, seconds=0.01, powercap=str(powercap))(consuming)
    assert found.value == pytest.approx(1.25, rel=1e-9)


def test_what_the_machine_takes_idle_is_beside_the_value(powercap, monkeypatch) -> None:
    def rest(seconds: float) -> None:
        assert seconds == 20 * 0.5  # steps of the counter
        (powercap / "intel-rapl:0" / "energy_uj").write_text("5000000")

    monkeypatch.setattr(energy.time, "sleep", rest)
    monkeypatch.setattr(RAPL, "step", 0.5)
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(energy, "perf_counter", lambda: next(clock))
    watts = energy.idle_power(Setup(), 2.0, str(powercap))
    assert watts == pytest.approx((5.0 + 0.01) / 2)


def test_a_counter_that_stands_still_is_no_counter(powercap: Path, monkeypatch) -> None:
    monkeypatch.setattr(energy, "PATIENCE", 0.0)
    network = torch.nn.Linear(4, 4)
    with pytest.raises(MeasurementError, match=r"to move while a network runs"):
        energy.joules_per_run(network, torch.zeros(1, 4), Setup(), 1, 0.01, str(powercap))


def test_a_machine_without_a_counter_is_refused_before_a_search(tmp_path: Path) -> None:
    objective = Energy(powercap=str(tmp_path))
    for attempt in (objective.check, objective.calibrate):
        with pytest.raises(
            MeasurementError, match=r"RAPL.*found 0 zones.*would be no measurement"
        ):
            attempt()


def test_this_machine_is_measured_or_refused(trained: Candidate) -> None:
    try:
        Energy().check()
    except MeasurementError as error:
        assert "energy_uj" in str(error)
        with pytest.raises(MeasurementError, match="energy_uj"):
            Energy()(trained)
    else:
        assert Energy()(trained).value > 0


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"seconds": 0.0}, {"passes": -1}])
def test_wrong_arguments_are_refused(wrong) -> None:
    with pytest.raises(DescriptionError, match=next(iter(wrong))):
        Energy(**wrong)
