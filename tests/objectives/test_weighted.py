"""Weighted: the sum it says, from parts that are measured once, and errors for nonsense."""

import math
from typing import Any

import pytest

from optuna_nas.exceptions import DescriptionError, MeasurementError, TrainingError
from optuna_nas.objectives import (
    Accuracy,
    Candidate,
    FLOPs,
    Latency,
    Measurement,
    Objective,
    Parameters,
    QuantizationDrop,
    Weighted,
)
from optuna_nas.testing import ObjectiveConformance


class TestWeighted(ObjectiveConformance):
    @pytest.fixture(params=["trained", "model"])
    def objective(self, request: pytest.FixtureRequest) -> Objective:
        first = {"accuracy": 1.0} if request.param == "trained" else {"naswot": 0.1}
        objective = Weighted(linear=first, log={"parameters": -0.1, "flops": -0.2})
        assert objective.stage == request.param
        return objective

    @pytest.fixture
    def candidate(self, trained: Candidate) -> Candidate:
        return trained


def test_the_sum_is_of_values_and_of_natural_logarithms(trained: Candidate) -> None:
    reward = Weighted(linear={Accuracy(): 2, "flops": -1e-6}, log=[("parameters", -0.1)])
    parameters, flops = Parameters()(trained).value, FLOPs()(trained).value
    found = reward(trained)
    assert found.value == pytest.approx(2 * 0.9 - 1e-6 * flops - 0.1 * math.log(parameters))
    assert found.details == {
        "formula": "+2 accuracy -1e-06 flops -0.1 log(parameters)",
        "parts": ["accuracy", "flops", "parameters"],
    }
    assert (reward.direction, reward.stage, reward.on_device) == ("maximize", "trained", False)


def test_loss_and_cost_are_to_be_minimised(trained: Candidate) -> None:
    loss = Weighted(linear={"validation_loss": 1, "flops": 0.01 / 1e6})
    assert loss.direction == "minimize"
    assert loss(trained).value == pytest.approx(0.3 + 1e-8 * FLOPs()(trained).value)


def test_a_part_may_count_plainly_and_by_its_logarithm(trained: Candidate) -> None:
    both = Weighted(linear={"accuracy": 1}, log={"accuracy": 3})
    assert both(trained).value == pytest.approx(0.9 + 3 * math.log(0.9))
    assert [part.name for part in both.parts] == ["accuracy"]


def test_what_is_measured_already_is_not_measured_again() -> None:
    known = {
        "latency": Measurement(4.0, 0.4),
        "parameters": Measurement(100.0),
        "accuracy": Measurement(0.0),
    }
    reward = Weighted(linear={"accuracy": 1, "latency": -1}, log={"latency": -2})
    found = reward(Candidate(None, (1,), measured=known))
    assert found.value == pytest.approx(-4 - 2 * math.log(4))
    assert found.spread == pytest.approx((1 + 2 / 4) * 0.4)
    assert reward.on_device and not Weighted(linear={"flops": 1}).on_device


def test_while_training_it_is_of_what_is_logged_and_known() -> None:
    reward = Weighted(
        linear={"accuracy": 1, QuantizationDrop(): -1}, log={"parameters": -0.1, Latency(): -1}
    )
    value = reward.while_training({"val_accuracy": 0.5}, {"parameters": 100.0, "flops": 7.0})
    assert value == pytest.approx(0.5 - 0.1 * math.log(100))
    with pytest.raises(TrainingError, match="to log 'val_accuracy', got val_loss"):
        reward.while_training({"val_loss": 1.0}, {"parameters": 100.0})


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_the_logarithm_of_what_is_not_positive_is_refused(value: float) -> None:
    reward = Weighted(log={"accuracy": 1})
    with pytest.raises(MeasurementError, match=f"accuracy above 0 .*got {value:g}; .*linear"):
        reward.of({"accuracy": value})


def test_the_direction_is_what_the_terms_agree_on() -> None:
    bigger = {"parameters": 1e-3}
    assert Weighted(log={"latency": -1}).direction == "maximize"
    assert Weighted(log={"latency": 1}).direction == "minimize"
    with pytest.raises(DescriptionError, match=r"agree on a direction, got \+1 accuracy"):
        Weighted(linear={"accuracy": 1, **bigger})
    assert Weighted(linear={"accuracy": 1, **bigger}, direction="maximize").direction == "maximize"
    with pytest.raises(DescriptionError, match="every part would get worse"):
        Weighted(linear={"accuracy": 1}, direction="minimize")
    with pytest.raises(DescriptionError, match="'minimize' or 'maximize'"):
        Weighted(linear={"accuracy": 1}, direction="up")


@pytest.mark.parametrize(
    ("nonsense", "message"),
    [
        ({}, "at least one term, got none"),
        ({"linear": {}, "log": ()}, "at least one term, got none"),
        ({"linear": {"acuracy": 1}}, "did you mean 'accuracy'"),
        ({"linear": {7: 1}}, "an objective or its name, got 7"),
        ({"linear": {"accuracy": 0}}, "weight other than 0 for accuracy, got 0"),
        ({"linear": {"accuracy": math.nan}}, "got nan"),
        ({"linear": {"accuracy": "1"}}, "got '1'"),
        ({"linear": {"accuracy": True}}, "got True"),
        ({"linear": "accuracy"}, "terms such as"),
        ({"linear": 3}, "terms such as"),
        ({"linear": {Weighted(linear={"accuracy": 1}): 1}}, "a Weighted in another"),
        ({"linear": {"latency": 1, Latency(threads=2): 1}}, "one quantity named 'latency'"),
        ({"linear": {"accuracy": 1}, "max": math.inf}, "finite cap"),
    ],
)
def test_nonsense_is_refused(nonsense: dict[str, Any], message: str) -> None:
    with pytest.raises(DescriptionError, match=message):
        Weighted(**nonsense)


def test_an_objective_and_its_name_are_one_description() -> None:
    assert Weighted(linear={Accuracy(): 1}) == Weighted(linear={"accuracy": 1.0})
    assert Weighted(linear={Accuracy(min=0.5): 1}) != Weighted(linear={"accuracy": 1})


def test_it_can_be_measured_where_all_parts_can() -> None:
    with pytest.raises(MeasurementError, match="cuda"):
        Weighted(linear={"accuracy": 1, Latency(device="cuda:99"): -1}).check()
    Weighted(linear={"accuracy": 1}).check()
