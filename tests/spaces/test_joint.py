from __future__ import annotations

import json
import pickle
from functools import partial

import lightning
import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.spaces import MLP, Joint
from optuna_nas.study.description import describe
from optuna_nas.study.record import records

NETWORKS = MLP(
    layers=(1,),
    widths=(4, 8),
    shared_width=(True,),
    activations=("relu",),
    norms=("none",),
    dropouts=(0.0,),
)


@pytest.fixture
def data() -> nas.datasets.ArrayDataModule:
    x = np.random.default_rng(0).normal(size=(80, 6)).astype("float32")
    return nas.datasets.ArrayDataModule(x, (x[:, 0] > 0).astype("int64"), batch_size=32)


def make_search(data: nas.datasets.ArrayDataModule, **hyperparameters: object) -> nas.Search:
    return nas.Search(
        name="joint",
        space=Joint(NETWORKS, **hyperparameters),
        data=data,
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget(epochs=(1, 2)),
        pruner="none",
    )


def test_hyperparameters_are_asked_for_as_they_were_given() -> None:
    space = Joint(
        NETWORKS,
        learning_rate=FloatDistribution(1e-3, 1e-1, log=True),
        warmup_steps=IntDistribution(10, 100),
        batch_size=(64, 16, 24),
        optimiser=("adamw", "sgd"),
        nesterov=(False, True),
        clip=(0.5,),
    )
    trial = optuna.create_study().ask()
    architecture = space(trial)
    assert architecture == NETWORKS(optuna.trial.FixedTrial(trial.params))
    assert {k: v for k, v in trial.distributions.items() if k.startswith("training.")} == {
        "training.learning_rate": FloatDistribution(1e-3, 1e-1, log=True),
        "training.warmup_steps": IntDistribution(10, 100),
        "training.batch_size_index": IntDistribution(0, 2),
        "training.optimiser": CategoricalDistribution(("adamw", "sgd")),
        "training.nesterov": CategoricalDistribution((False, True)),
    }
    drawn = space.training(trial)
    assert drawn["batch_size"] in (16, 24, 64)
    assert drawn["clip"] == 0.5
    assert space.training(optuna.trial.FixedTrial(trial.params)) == drawn


def test_they_are_no_part_of_the_network() -> None:
    space = Joint(NETWORKS, learning_rate=FloatDistribution(1e-3, 1e-1))
    digests = {
        space(optuna.trial.FixedTrial({"training.learning_rate": rate, "width": 4})).digest
        for rate in (0.01, 0.02)
    }
    assert len(digests) == 1


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "predictor", "local-search"])
def test_other_hyperparameters_are_another_training_and_equal_ones_are_not(
    data: nas.datasets.ArrayDataModule, sampler: str
) -> None:
    search = make_search(data, weight_decay=(0.0, 0.1), learning_rate=(1e-3, 1e-2))
    study = nas.Search(**{**vars_of(search), "sampler": sampler}).run(
        trials=60, storage=optuna.storages.InMemoryStorage()
    )
    reused = [t for t in study.trials if "reused_from" in t.user_attrs]
    trained = [t for t in study.trials if t.user_attrs["outcome"] == "trained"]
    keys = [json.dumps(t.params, sort_keys=True) for t in trained]
    assert len(set(keys)) == len(trained) == 8  # two widths, two rates, two decays
    assert len({t.user_attrs["digest"] for t in trained}) == 2
    for trial in reused:
        assert trial.params == study.trials[trial.user_attrs["reused_from"]].params
    assert study.user_attrs["exhausted"]


def vars_of(search: nas.Search) -> dict[str, object]:
    names = ("name", "space", "data", "objectives", "fidelity", "pruner")
    return {name: getattr(search, name) for name in names} | {"max_failures": 1}


class Seen(nas.model.Classifier):
    """Notes what it is made of and in which batches it is trained."""

    notes: list[tuple[float, int]] = []

    def training_step(self, batch, batch_idx):
        if batch_idx == 0:
            self.notes.append((self.learning_rate, len(batch[0])))
        return super().training_step(batch, batch_idx)


def test_the_module_and_the_data_get_what_was_drawn(data: nas.datasets.ArrayDataModule) -> None:
    Seen.notes.clear()
    space = Joint(NETWORKS, learning_rate=(1e-3, 1e-2), batch_size=(8, 16))
    search = nas.Search(
        name="seen",
        space=space,
        data=data,
        module=partial(Seen, weight_decay=0.0),
        objectives=["accuracy"],
        fidelity=nas.Budget(epochs=(1, 1)),
        sampler="random",
    )
    study = search.run(trials=6, storage=optuna.storages.InMemoryStorage())
    trained = [t for t in study.trials if t.user_attrs["outcome"] == "trained"]
    drawn = [space.training(optuna.trial.FixedTrial(t.params)) for t in trained]
    assert Seen.notes == [(d["learning_rate"], d["batch_size"]) for d in drawn]
    assert data.batch_size == 32


def test_hyperparameters_that_nobody_takes_are_refused_at_once(
    data: nas.datasets.ArrayDataModule,
) -> None:
    with pytest.raises(DescriptionError, match=r"learning_rate.*got learning_rat\b"):
        make_search(data, learning_rat=(0.1, 0.2))

    class Without(lightning.LightningDataModule):
        pass

    with pytest.raises(DescriptionError, match="attribute 'batch_size'"):
        nas.Search(
            name="x",
            space=Joint(NETWORKS, batch_size=(8, 16)),
            data=Without(),
            objectives=["accuracy"],
        )


@pytest.mark.parametrize("wrapped", [False, True])
def test_values_that_a_recipe_refuses_are_refused_at_once(
    data: nas.datasets.ArrayDataModule, wrapped: bool
) -> None:
    recipe = nas.model.Regressor if wrapped else nas.model.Classifier
    refused = {
        "optimiser among adamw, sgd, got 'adam'": {"optimiser": ("adamw", "adam")},
        "loss among .*, got 'hinge'": {"loss": ("hinge",)},
        "learning_rate above 0": {"learning_rate": FloatDistribution(0.0, 0.1)},
    }
    for message, hyperparameters in refused.items():
        with pytest.raises(DescriptionError, match=message):
            nas.Search(
                name="x",
                space=Joint(NETWORKS, **hyperparameters),
                data=data,
                module=partial(recipe, warmup_steps=9) if wrapped else recipe,
                objectives=["validation_loss"],
            )


def test_every_hyperparameter_of_a_classifier_is_searched_in_one_study() -> None:
    x = np.random.default_rng(0).normal(size=(80, 1, 8, 8)).astype("float32")
    search = nas.Search(
        name="all",
        space=Joint(
            NETWORKS,
            learning_rate=FloatDistribution(1e-3, 1e-1, log=True),
            weight_decay=FloatDistribution(1e-4, 1e-1, log=True),
            batch_size=(16, 32),
            optimiser=("adamw", "sgd"),
            loss=("cross_entropy", "focal"),
            label_smoothing=FloatDistribution(0.0, 0.2),
            augmentation=FloatDistribution(0.0, 1.0),
            flip=(False, True),
        ),
        data=nas.datasets.ArrayDataModule(x, (x[:, 0, 0, 0] > 0).astype("int64")),
        objectives=["accuracy", "parameters"],
        fidelity=nas.Budget(epochs=(1, 2)),
    )
    study = search.run(trials=6, storage=optuna.storages.InMemoryStorage())
    assert {t.user_attrs["outcome"] for t in study.trials} <= {"trained", "pruned"}
    names = {name.removesuffix("_index") for t in study.trials for name in t.params}
    assert names == {"width", *(f"training.{name}" for name in search.space.hyperparameters)}


def test_bounds_that_allow_nothing_are_refused() -> None:
    with pytest.raises(SpaceError, match="expected hyperparameters"):
        Joint(NETWORKS)
    with pytest.raises(SpaceError, match="as the first argument"):
        Joint("cnn", learning_rate=(0.1, 0.2))
    for values in ((), 0.1, {"low": 1}, CategoricalDistribution((1, 2))):
        with pytest.raises(SpaceError, match="learning_rate"):
            Joint(NETWORKS, learning_rate=values)


def modules(trial: optuna.Trial) -> torch.nn.Module:
    width = trial.suggest_int("width", 4, 5)
    return torch.nn.Sequential(
        torch.nn.Linear(6, width), torch.nn.ReLU(), torch.nn.Linear(width, 2)
    )


@pytest.mark.parametrize("space", [NETWORKS, modules])
def test_the_record_and_the_front_say_how_a_network_was_trained(
    data: nas.datasets.ArrayDataModule, space: object
) -> None:
    search = nas.Search(
        name="told",
        space=Joint(space, learning_rate=(1e-3, 1e-2), batch_size=(16, 32)),
        data=data,
        objectives=["accuracy", "validation_loss"],
        fidelity=nas.Budget(epochs=(1, 1)),
        pruner="none",
        sampler="random",
    )
    study = search.run(trials=12, storage=optuna.storages.InMemoryStorage())
    trained = [r for r in records(study) if r.outcome == "trained"]
    assert len({record.digest for record in trained}) == 2 < len(trained)
    for record in trained:
        trial = optuna.trial.FixedTrial(study.trials[record.number].params)
        assert record.hyperparameters == search.space.training(trial)
        assert record.line == f"{record.network} | {record.recipe}"
        assert "learning_rate" not in record.network
    for found in nas.reporting.front_json(study):
        assert found["hyperparameters"].keys() == {"learning_rate", "batch_size"}


def test_it_is_described_and_pickled() -> None:
    space = Joint(NETWORKS, learning_rate=FloatDistribution(0.1, 0.2), optimiser=("adamw", "sgd"))
    assert pickle.loads(pickle.dumps(space)) == space
    other = Joint(NETWORKS, learning_rate=FloatDistribution(0.1, 0.3), optimiser=("adamw", "sgd"))
    assert describe(space) != describe(other)
    assert json.loads(json.dumps(describe(space))) == describe(space)


def test_it_takes_what_its_networks_take() -> None:
    assert Joint(nas.spaces.CNN(), learning_rate=(0.1, 0.2)).input_shape == (3, 32, 32)
    assert not hasattr(Joint(NETWORKS, learning_rate=(0.1, 0.2)), "input_shape")
    module = Joint(lambda trial: torch.nn.Linear(6, 2), learning_rate=(0.1, 0.2))
    assert isinstance(module(optuna.create_study().ask()), torch.nn.Linear)
