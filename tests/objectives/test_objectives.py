"""Objectives: known values, caps, and a latency that says how it was measured."""

import dataclasses
import math
from itertools import islice
from typing import Any

import pytest
import torch
from torch import nn

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DataError, DescriptionError, TrainingError
from optuna_nas.objectives import (
    Accuracy,
    Candidate,
    FLOPs,
    Latency,
    Measurement,
    Metric,
    Objective,
    Parameters,
)
from optuna_nas.spaces import SPACES
from optuna_nas.spaces.draws import random_trials

pytestmark = pytest.mark.usefixtures("unrefused")


def linear(width: int = 32, depth: int = 1) -> nn.Module:
    return nn.Sequential(*(nn.Linear(width, width) for _ in range(depth)))


@pytest.fixture(scope="module")
def calibrated() -> dict[str, dict[str, float]]:
    return {"latency": Latency().calibrate()}


def candidate(width: int = 32, depth: int = 1, **known: Any) -> Candidate:
    return Candidate(linear(width, depth), (width,), width, **known)


def test_parameters_counts_trainable_weights_without_allocating_them() -> None:
    frozen = linear(8)
    frozen[0].bias.requires_grad_(False)
    assert Parameters()(Candidate(frozen, (8,), 8)).value == 64

    huge = Architecture.chain([("head", "classify", {})])
    assert Parameters()(Candidate(huge, (1_000_000_000,), 10)).value == 10_000_000_010


def test_flops_counts_a_multiplication_and_an_addition_as_two() -> None:
    assert FLOPs()(candidate(32)).value == 2 * 32 * 32


def test_flops_of_attention_are_counted() -> None:
    length, width, hidden = 5, 8, 32
    layer = nn.TransformerEncoderLayer(width, 2, hidden, batch_first=True)
    projections = 2 * length * width * (4 * width + 2 * hidden)
    attention = 2 * 2 * length * length * width
    assert FLOPs()(Candidate(layer, (length, width))).value == projections + attention
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("name", sorted(SPACES))
def test_flops_of_the_blocks_are_those_of_the_network(name: str) -> None:
    space = SPACES[name]()
    shape = getattr(space, "input_shape", (8,))
    for trial in islice(random_trials(0), 3):
        one = Candidate(space(trial), shape, 10)
        assert FLOPs()(one) == FLOPs()(Candidate(one.skeleton, shape))


def test_flops_leave_the_mode_of_the_network_alone() -> None:
    one = candidate()
    FLOPs()(one)
    assert one.network.training


def test_measuring_leaves_each_module_in_its_own_mode(calibrated) -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4).eval())
    one = Candidate(network, (4,), 4, calibrations=calibrated)
    FLOPs()(one)
    Latency(limit=0.1, tolerance=1.0)(one)
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


def test_latency_says_how_it_was_measured(calibrated) -> None:
    one = candidate(64, 4, calibrations=calibrated)
    measurement = Latency(batch=4, limit=0.3, tolerance=1.0)(one)
    assert measurement.value > 0
    assert measurement.spread is not None and measurement.spread >= 0
    assert measurement.details["batch"] == 4
    assert measurement.details["threads"] == 1
    assert measurement.details["backend"] == "eager"
    assert measurement.details["passes"] >= 3
    assert set(measurement.details["references"]) < set(calibrated["latency"])
    assert measurement.details["precision"] == "fp32"
    assert measurement.details["device"]["processor"]


def test_latency_is_in_units_of_the_studys_reference(calibrated) -> None:
    """The value is a ratio to the reference: another calibration scales it exactly."""
    values = []
    for factor in (1.0, 1000.0):
        scaled = {width: factor * ms for width, ms in calibrated["latency"].items()}
        one = candidate(256, 4, calibrations={"latency": scaled})
        values.append(Latency(tolerance=1.0)(one).value)
    assert 300 < values[1] / values[0] < 3000


def test_latency_orders_networks_that_differ_tenfold(calibrated) -> None:
    values = []
    for depth in (1, 10, 100):
        one = candidate(128, depth, calibrations=calibrated)
        values.append(Latency(limit=0.5, tolerance=1.0)(one).value)
    assert values == sorted(values)


def test_latency_leaves_threads_mode_and_gradients_alone(calibrated) -> None:
    one = candidate(calibrations=calibrated)
    before = torch.get_num_threads()
    Latency(limit=0.1, tolerance=1.0)(one)
    assert torch.get_num_threads() == before
    assert one.network.training
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    one.network(torch.ones(1, 32)).sum().backward()
