"""Latency learned from measured networks."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from pretended import OUTPUTS, SHAPE, branches, draws, latency_of

from optuna_nas.architecture import Architecture, Node
from optuna_nas.exceptions import MeasurementError
from optuna_nas.predictors import LearnedLatency
from optuna_nas.testing import PredictorConformance


def learned(architectures: Sequence[Architecture], noise: float = 0.0) -> LearnedLatency:
    factors = np.exp(noise * np.random.default_rng(0).normal(size=len(architectures)))
    measured = factors * [latency_of(architecture) for architecture in architectures]
    return LearnedLatency(SHAPE, OUTPUTS).fit(architectures, measured)


class TestLearnedLatency(PredictorConformance):
    @pytest.fixture
    def architectures(self) -> list[Architecture]:
        return draws(6, seed=1)

    @pytest.fixture
    def predictor(self) -> LearnedLatency:
        return learned(draws(20))


def test_it_finds_costs_that_are_additive() -> None:
    held_back = draws(30, seed=1)
    mean, _ = learned(draws(60)).predict(held_back)
    np.testing.assert_allclose(mean, [latency_of(a) for a in held_back], rtol=0.05)


@pytest.mark.parametrize("count", [10, 30, 100])
def test_the_uncertainty_is_about_as_large_as_the_errors(count: int) -> None:
    held_back = draws(60, seed=1)
    truth = np.array([latency_of(a) for a in held_back])
    noisy = truth * np.exp(0.1 * np.random.default_rng(1).normal(size=60))
    mean, deviation = learned(draws(count), noise=0.1).predict(held_back)
    z = (noisy - mean) / deviation
    assert 0.3 < np.sqrt(np.mean(z**2)) < 2
    assert np.mean(np.abs(z) < 2) > 0.8


def test_the_more_is_measured_the_less_uncertain_it_is() -> None:
    held_back = draws(20, seed=1)
    relative = []
    for count in (8, 20, 100):
        mean, deviation = learned(draws(count), noise=0.02).predict(held_back)
        relative.append(np.median(deviation / mean))
    assert relative == sorted(relative, reverse=True)


def test_it_learns_from_what_a_study_has_measured() -> None:
    study = optuna.create_study()
    measured = draws(12)
    for architecture in [*measured, measured[0]]:
        attributes = {
            "architecture": json.loads(architecture.to_json()),
            "measurements": {"latency": {"value": latency_of(architecture), "unit": "ms"}},
        }
        study.add_trial(optuna.trial.create_trial(value=0.0, user_attrs=attributes))
    study.add_trial(optuna.trial.create_trial(value=0.0))
    predictor = LearnedLatency(SHAPE, OUTPUTS).fit_study(study)
    other = learned(list({a.digest: a for a in measured}.values()))
    np.testing.assert_allclose(predictor.predict(measured), other.predict(measured))
    with pytest.raises(MeasurementError, match=r"at least 5 measured networks .* got 0"):
        LearnedLatency(SHAPE, OUTPUTS).fit_study(study, name="energy")


def test_an_operator_that_was_never_measured_is_uncertain() -> None:
    measured = draws(20)
    predictor = learned(measured)
    known = [*branches().nodes[:1], Node("classify", "classify", {}, ("left",))]
    mean, deviation = predictor.predict([branches(), Architecture(known)])
    slowest = max(map(latency_of, measured))
    assert deviation[0] >= slowest > 10 * deviation[1]
    assert mean[0] > mean[1] > 0
    _, learnt = learned([*measured, branches()]).predict([branches()])
    assert learnt[0] < slowest


@pytest.mark.parametrize(
    ("latencies", "message"),
    [
        ([1.0] * 4, r"one latency for each of 6 networks, got an array of shape \(4,\)"),
        ([1.0] * 5 + [0.0], r"finite latencies above 0 ms, got \[0.0\]"),
        ([1.0] * 4 + [-1.0, np.nan], r"finite latencies above 0 ms, got \[-1.0, nan\]"),
        ([1.0] * 5 + [np.inf], r"finite latencies above 0 ms, got \[inf\]"),
    ],
)
def test_latencies_that_do_not_fit_are_refused(latencies: list[float], message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        LearnedLatency(SHAPE, OUTPUTS).fit(draws(6), latencies)


def test_too_few_networks_are_refused_and_what_was_learned_stays() -> None:
    predictor = learned(draws(20))
    before = predictor.predict([branches()])
    with pytest.raises(MeasurementError, match=r"at least 5 measured networks .* got 3"):
        predictor.fit([branches()] * 3, [1.0] * 3)
    np.testing.assert_array_equal(predictor.predict([branches()]), before)


def test_it_must_learn_before_it_predicts() -> None:
    with pytest.raises(MeasurementError, match="call fit or fit_study first"):
        LearnedLatency(SHAPE, OUTPUTS).predict(draws(1))
