"""Objectives that are predicted from the networks that were measured so far."""

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.exceptions import MeasurementError
from optuna_nas.samplers import Predictor
from optuna_nas.samplers.history import END, Network
from optuna_nas.samplers.proposer import UNTIL
from optuna_nas.samplers.screen import Screen

STARTUP = 6


def space(trial: optuna.Trial) -> Architecture:
    widths = [trial.suggest_int(f"width{place}", 1, 64) for place in range(3)]
    return Architecture(
        tuple(
            Node(f"n{k}", "linear", {"features": width}, (f"n{k - 1}" if k else INPUT,))
            for k, width in enumerate(widths)
        )
    )


def latency(drawn: Architecture) -> float:
    """What a line through the widths cannot tell: that some sizes are slow."""
    widths = [node.args["features"] for node in drawn.nodes]
    return float(sum(width * (1 if width % 8 == 0 else 9) for width in widths))


class Knowing:
    """A learner that tells the truth once it has seen enough, and notes what it is asked."""

    asked: list[int] = []
    taught: list[list[float]] = []

    def fit(self, drawn, values):
        if len(drawn) < 5:
            raise MeasurementError("too few")
        self.taught.append(list(values))
        self.known = dict(zip((d.digest for d in drawn), values, strict=True))

    def predict(self, drawn):
        self.asked.append(len(drawn))
        return np.array([latency(d) for d in drawn]), np.zeros(len(drawn))


@pytest.fixture(autouse=True)
def fresh():
    Knowing.asked, Knowing.taught = [], []


def run(known, trials=30, seed=0) -> optuna.Study:
    sampler = Predictor(space, {"latency": known}, startup=STARTUP, seed=seed)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.set_metric_names(["error", "latency"])

    def train(trial):
        drawn = space(trial)
        return 1 / sum(node.args["features"] for node in drawn.nodes), latency(drawn)

    study.optimize(train, n_trials=trials)
    return study


def slow(study: optuna.Study) -> float:
    """Share of slow sizes in what was proposed."""
    proposed = [value for t in study.trials[STARTUP:] for value in t.params.values()]
    return float(np.mean([value % 8 != 0 for value in proposed]))


def test_the_most_promising_are_asked_for_and_what_is_slow_is_avoided():
    told, untold = run(Knowing(), trials=UNTIL + 2), run(None, trials=UNTIL + 2)
    assert max(Knowing.asked) == 60
    assert len(Knowing.asked) == UNTIL - STARTUP, "beyond, the genes tell as much"
    values = [trial.values[1] for trial in told.trials]
    assert Knowing.taught[0] == values[: len(Knowing.taught[0])]
    assert slow(told) < slow(untold) - 0.2


def test_screened_proposals_follow_from_the_storage():
    whole = run(Knowing(), trials=15)
    sampler = Predictor(space, {"latency": Knowing()}, startup=STARTUP, seed=0)
    again = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    again.set_metric_names(["error", "latency"])
    again.add_trials(whole.trials[:14])
    trial = again.ask()
    space(trial)
    assert trial.params == whole.trials[14].params


def network(value: float) -> Network:
    losses = {1: (0.5, np.inf), END: (0.5, value)}
    return Network({}, {}, losses=losses, state=TrialState.COMPLETE)


def test_the_value_that_a_network_has_at_last_is_learned_in_its_own_sign():
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.set_metric_names(["error", "latency (ms)"])
    graphs = [
        space(optuna.trial.FixedTrial(dict.fromkeys(["width0", "width1", "width2"], w)))
        for w in range(1, 9)
    ]
    screen = Screen({"latency": Knowing()}, study, [network(-float(w)) for w in range(8)], graphs)
    assert Knowing.taught == [[float(w) for w in range(8)]]
    assert screen(graphs[:1], np.random.default_rng(0)) == [{1: -latency(graphs[0])}]


def test_too_few_networks_predict_nothing():
    study = optuna.create_study(directions=["minimize", "minimize"])
    study.set_metric_names(["error", "latency"])
    graphs = [nas.Architecture((Node("n", "linear", {"features": 2}, (INPUT,)),))]
    screen = Screen({"latency": Knowing()}, study, [network(1.0)], graphs)
    assert screen(graphs, np.random.default_rng(0)) == [{}]
