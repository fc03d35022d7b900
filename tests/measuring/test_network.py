"""Networks and references as they are loaded and timed, with timings that are pretended."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from optuna_nas import backends
from optuna_nas.exceptions import MeasurementError
from optuna_nas.measuring import Goal, Setup, Timing, network
from optuna_nas.measuring.reference import WIDTHS

CALIBRATED = {str(width): 1.0 for width in WIDTHS} | {"load": 0}


TIMING = Timing(
    value=1.0,
    p10=0.9,
    spread=0.01,
    run_spread=0.02,
    uncertainty=0.01,
    passes=5,
    runs=25,
    settled=True,
    slowdown=1.0,
    references={"8": 1.0},
)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch) -> None:
    for name in ("_loaded", "_calibrated"):
        monkeypatch.setattr(network, name, {})


@pytest.fixture
def timings(monkeypatch) -> list[Timing]:
    """What the attempts find, the last one first."""
    found: list[Timing] = []
    monkeypatch.setattr(network, "time_in_turn", lambda *_: found.pop())
    return found


def measure(attempts: int = 3, limit: float = 1.0) -> dict:
    example, goal = torch.zeros(1, 4), Goal(limit=limit, attempts=attempts)
    return network.time_network(nn.Linear(4, 4), example, Setup(), goal, CALIBRATED)


def test_a_disturbed_attempt_is_repeated(timings) -> None:
    timings += [TIMING, replace(TIMING, slowdown=9.0), replace(TIMING, uncertainty=0.5)]
    found = measure()
    assert found["value"] == 1.0 and found["references"] == {"8": 1.0}
    assert not timings


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"slowdown": 9.0}, "the reference network ran 9.0 times slower"),
        ({"uncertainty": 0.5}, "the passes disagreed .*50%"),
    ],
)
def test_what_stays_disturbed_is_refused_with_the_reason(timings, wrong, reason) -> None:
    timings += [replace(TIMING, **wrong)] * 4
    with pytest.raises(MeasurementError, match=f"refused to record a latency: in 3.*{reason}"):
        measure(limit=60)
    assert len(timings) == 1


def test_no_attempt_is_begun_once_their_time_is_spent(timings) -> None:
    timings += [replace(TIMING, slowdown=9.0)] * 3
    with pytest.raises(MeasurementError, match="in 1 attempts"):
        measure(limit=1e-9)


def test_a_calibration_beside_other_programs_is_made_again(monkeypatch) -> None:
    loads = [0.0, 0.0, 1.5]
    monkeypatch.setattr(
        network, "seconds_alone", lambda runs, *_: ([1e-3] * len(runs), loads.pop())
    )
    assert [network.calibrate(Setup(), 1.0)["load"] for _ in range(3)] == [1.5, 0.0, 0.0]
    assert loads == [0.0]


def test_backends_with_the_same_references_share_their_calibration(monkeypatch) -> None:
    monkeypatch.setattr(network, "seconds_alone", lambda runs, *_: ([1e-3] * len(runs), 0.0))
    assert backends.find("compile").references == "eager"
    assert network.calibrate(Setup("compile"), 1.0) is network.calibrate(Setup("eager"), 1.0)


def test_an_input_that_does_not_fit_is_a_measurement_that_failed() -> None:
    with pytest.raises(MeasurementError, match=r"cannot be measured on cpu: RuntimeError: mat1"):
        network.time_network(nn.Linear(3, 4), torch.zeros(1, 4), Setup(), Goal(), CALIBRATED)


def test_a_network_that_fails_while_it_is_timed_is_one_too(monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network, "time_in_turn", fail)
    with pytest.raises(MeasurementError, match="OutOfMemoryError: CUDA out of memory"):
        measure()


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "mps", ""])
def test_an_unknown_device_is_an_error_that_says_so(device) -> None:
    with pytest.raises(MeasurementError, match="expected the device cpu, or a CUDA device"):
        Setup(device=device).check()
