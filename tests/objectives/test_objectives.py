"""Objectives: known values, names and units, caps, and a latency that load does not move."""

import dataclasses
import math
import multiprocessing
import random
import time

import pytest
import torch
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DataError, DescriptionError, TrainingError
from optuna_nas.objectives import (
    NAMES,
    Accuracy,
    Candidate,
    FLOPs,
    Latency,
    Measurement,
    Metric,
    Objective,
    Parameters,
)
from optuna_nas.objectives.latency import Run


def linear(width: int = 32, depth: int = 1) -> nn.Module:
    return nn.Sequential(*(nn.Linear(width, width) for _ in range(depth)))


def candidate(width: int = 32, depth: int = 1) -> Candidate:
    return Candidate(linear(width, depth), (width,), width)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_has_name_unit_direction_and_stage(name: str) -> None:
    objective = NAMES[name]()
    assert objective.name == name
    assert objective.direction in ("minimize", "maximize")
    assert objective.label.startswith(name)
    assert objective.unit in objective.label


def test_parameters_counts_trainable_weights_without_allocating_them() -> None:
    frozen = linear(8)
    frozen[0].bias.requires_grad_(False)
    assert Parameters()(Candidate(frozen, (8,), 8)).value == 64

    huge = Architecture.chain([("head", "classify", {})])
    assert Parameters()(Candidate(huge, (1_000_000_000,), 10)).value == 10_000_000_010


def test_flops_counts_a_multiplication_and_an_addition_as_two() -> None:
    assert FLOPs()(candidate(32)).value == 2 * 32 * 32


def test_flops_leave_the_mode_of_the_network_alone() -> None:
    one = candidate()
    FLOPs()(one)
    assert one.network.training


def test_measuring_leaves_each_module_in_its_own_mode() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4).eval())
    one = Candidate(network, (4,), 4)
    FLOPs()(one)
    Latency(limit=0.1)(one)
    assert [module.training for module in network.modules()] == [True, True, False]


def test_metric_is_what_training_logged_last() -> None:
    one = candidate()
    one.metrics = {"val_accuracy": 0.5, "val_f1": 0.25}
    f1 = Metric(name="f1", unit="", direction="maximize", monitor="val_f1")
    assert Accuracy()(one).value == 0.5
    assert f1(one).value == 0.25
    assert f1.label == "f1"


def test_metric_that_was_never_logged_says_what_was() -> None:
    one = candidate()
    one.metrics = {"val_loss": 1.0}
    with pytest.raises(TrainingError, match=r"'val_accuracy'.*val_loss"):
        Accuracy()(one)


def test_caps_say_by_how_much_they_are_broken() -> None:
    assert Parameters().violation(5.0) is None
    assert Parameters(max=10).violation(5.0) == -0.5
    assert Parameters(max=10).violation(15.0) == 0.5
    assert Accuracy(min=0.8).violation(0.6) == pytest.approx(0.25)
    assert Accuracy(min=0.2, max=0.8).violation(0.5) < 0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Parameters(direction="up"),
        lambda: Parameters(max=math.nan),
        lambda: Latency(threads=0),
        lambda: Latency(tolerance=-0.1),
    ],
)
def test_wrong_arguments_are_refused(wrong) -> None:
    with pytest.raises(DescriptionError, match="expected"):
        wrong()


def test_one_file_makes_a_new_objective() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Depth(Objective):
        name: str = "depth"
        unit: str = "layers"
        direction: str = "minimize"
        stage = "architecture"

        def __call__(self, candidate: Candidate) -> Measurement:
            return Measurement(float(len(list(candidate.skeleton.children()))))

    assert Depth()(candidate(depth=3)).value == 3
    assert Depth().label == "depth (layers)"


def test_weights_depend_on_the_seed_alone() -> None:
    drawn = Architecture.chain([("head", "classify", {})])
    first, second, other = (Candidate(drawn, (4,), 2, seed=seed) for seed in (1, 1, 2))
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    one = first.network.state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, weight in second.network.state_dict().items():
        assert torch.equal(weight, one[name])
    assert any(not torch.equal(w, one[n]) for n, w in other.network.state_dict().items())


def test_data_that_does_not_say_its_outputs_is_asked_for_them() -> None:
    drawn = Architecture.chain([("head", "classify", {})])
    with pytest.raises(DataError, match="outputs"):
        Parameters()(Candidate(drawn, (4,), None))
    assert Parameters()(Candidate(linear(4), (4,), None)).value == 20


def test_latency_says_how_it_was_measured() -> None:
    measurement = Latency(batch=4, limit=0.3)(candidate(64, 4))
    assert measurement.value > 0
    assert measurement.spread is not None and measurement.spread >= 0
    assert measurement.details["batch"] == 4
    assert measurement.details["threads"] == 1
    assert measurement.details["backend"] == "eager"
    assert measurement.details["passes"] >= 5
    assert measurement.details["reference_ms"] > 0


def test_latency_is_in_units_of_the_studys_reference() -> None:
    """The value is a ratio to the reference: another calibration scales it exactly."""
    one = candidate(256, 4)
    one.calibrations = {"latency": {"reference_ms": 1.0}}
    slow = candidate(256, 4)
    slow.calibrations = {"latency": {"reference_ms": 1000.0}}
    first, second = Latency()(one), Latency()(slow)
    assert 300 < second.value / first.value < 3000
    assert second.details["reference_ms"] == 1000.0


def test_latency_orders_networks_that_differ_tenfold() -> None:
    calibration = {"latency": Latency().calibrate()}
    values = []
    for depth in (1, 10, 100):
        one = candidate(128, depth)
        one.calibrations = calibration
        values.append(Latency(limit=0.5)(one).value)
    assert values == sorted(values)


def test_latency_leaves_threads_mode_and_gradients_alone() -> None:
    one = candidate()
    before = torch.get_num_threads()
    Latency(limit=0.1)(one)
    assert torch.get_num_threads() == before
    assert one.network.training
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    one.network(torch.ones(1, 32)).sum().backward()


def test_latency_that_does_not_settle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = random.Random(0)
    monkeypatch.setattr(
        "optuna_nas.objectives.latency._seconds", lambda run: noise.lognormvariate(-7.0, 3.0)
    )
    details = Latency(limit=0.01)(candidate()).details
    assert details["settled"] is False


def test_load_on_both_measured_and_reference_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is three times slower in every other pass reports one and the same value."""
    calls = 0

    def seconds(run: Run) -> float:
        nonlocal calls
        calls += 1
        slow = 3.0 if calls // 200 % 2 else 1.0
        return slow * (2e-3 if getattr(run, "__name__", "") == "<lambda>" else 1e-3)

    monkeypatch.setattr("optuna_nas.objectives.latency._seconds", seconds)
    one = candidate()
    one.calibrations = {"latency": {"reference_ms": 1.0}}
    measurement = Latency()(one)
    assert measurement.value == pytest.approx(2.0)
    assert measurement.details["settled"] is True


def _measure_once(barrier, spans) -> None:
    barrier.wait()
    started = time.monotonic()
    inside = []

    class Watched(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside.append(time.monotonic())
            return x

    Latency(limit=0.1)(Candidate(Watched(), (4,), 4, calibrations=REFERENCE))
    # the two zeros of the shape check run outside the measurement
    timed = [moment for moment in inside if moment > started][1:]
    spans.put((timed[0], timed[-1]))


REFERENCE = {"latency": {"reference_ms": 1.0}}


def test_one_measurement_at_a_time_on_a_host() -> None:
    context = multiprocessing.get_context("spawn")
    barrier, spans = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_measure_once, args=(barrier, spans)) for _ in range(2)]
    for worker in workers:
        worker.start()
    (_, first_end), (second_start, _) = sorted(spans.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.join()
    assert first_end <= second_start
