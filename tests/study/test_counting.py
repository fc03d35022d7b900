"""What a search counts on networks that its sampler only thinks of."""

import math

import numpy as np
import optuna
import pytest
from torch import nn

import optuna_nas as nas
from optuna_nas.objectives import FLOPs, Latency, Parameters, PeakMemory
from optuna_nas.predictors import LearnedLatency
from optuna_nas.samplers.proposer import LOOKED
from optuna_nas.study.counting import counters

X = np.random.default_rng(0).normal(size=(80, 6)).astype("float32")


def searched(*objectives, sampler="predictor"):
    return nas.Search(
        name="counted",
        space=nas.spaces.MLP(layers=(1, 2), widths=(2, 4, 8, 16)),
        data=nas.datasets.ArrayDataModule(X, (X[:, 0] > 0).astype("int64"), batch_size=32),
        objectives=["accuracy", *objectives],
        fidelity=nas.Budget((1, 1)),
        sampler=sampler,
    )


def test_what_is_counted_is_what_trials_measure():
    search = searched("parameters", "flops")
    study = search.run(trials=3, storage=optuna.storages.InMemoryStorage())
    for trial in study.trials:
        drawn = nas.Architecture.from_json(trial.user_attrs["architecture"])
        counted = {name: count(drawn) for name, count in counters(search).items()}
        assert counted == {n: trial.user_attrs["measurements"][n]["value"] for n in counted}


def test_what_training_or_a_device_tells_is_not_counted():
    assert counters(searched(Parameters(), FLOPs(), Latency())).keys() == {
        "parameters",
        "flops",
        "latency",
    }
    assert isinstance(counters(searched(Latency()))["latency"], LearnedLatency)
    assert counters(searched(PeakMemory())) == {"peak_memory": None}


def test_a_module_and_a_network_that_does_not_build_are_for_their_trials():
    count = counters(searched("parameters"))["parameters"]
    unfit = nas.Architecture.chain([("a", "conv", {"channels": 4, "kernel": 3})])
    assert math.isnan(count(nn.Linear(6, 2))) and math.isnan(count(unfit))


@pytest.mark.parametrize("quantity", ["parameters", "flops"])
def test_the_predictor_of_a_search_weighs_exact_counts(quantity):
    study = searched(quantity).run(trials=22, storage=optuna.storages.InMemoryStorage())
    looked = [t.system_attrs[LOOKED] for t in study.trials if LOOKED in t.system_attrs]
    assert looked and all(known and known[0][0][0] == 1 for _, known in looked)
