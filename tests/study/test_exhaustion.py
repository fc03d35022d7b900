"""A search in a space that it has seen all of, or whose sampler repeats itself."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from click.testing import CliRunner
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.architecture import INPUT, Node
from optuna_nas.cli import main
from optuna_nas.samplers.enumeration import Enumeration
from optuna_nas.study.description import digest
from optuna_nas.study.exhaustion import EXHAUSTED, REPEATS
from optuna_nas.study.record import records

NAMES = [
    "gp",
    "local-search",
    "nsga2",
    "optuna-nsga2",
    "predictor",
    "random",
    "regularized-evolution",
    "reinforce",
    "tpe",
]
X = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")


def cells(trial: optuna.Trial) -> nas.Architecture:
    """Two branches that are added, their order without meaning: 2 x 6 networks of 2 x 9 draws."""
    width = 2 * trial.suggest_int("width", 1, 2)
    nodes = []
    for branch in "ab":
        activation = trial.suggest_categorical(branch, ["relu", "gelu", "silu"])
        arguments = {"features": width, "activation": activation}
        nodes.append(Node(branch, "linear", arguments, (INPUT,)))
    nodes += [Node("sum", "add", {}, ("a", "b")), Node("head", "classify", {}, ("sum",))]
    return nas.Architecture(tuple(nodes))


@pytest.fixture
def search() -> nas.Search:
    """Nothing is trained, so that few trials are done in a second."""
    return nas.Search(
        name="small",
        space=cells,
        data=nas.datasets.ArrayDataModule(X, (X[:, 0] > 0).astype("int64"), batch_size=30),
        objectives=["parameters", "flops"],
        trials=200,
    )


@pytest.fixture
def storage() -> optuna.storages.BaseStorage:
    return optuna.storages.InMemoryStorage()


def outcomes(study: optuna.Study) -> list[str]:
    return [record.outcome for record in records(study)]


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_ends_where_all_networks_are_trained_once(search, storage, name):
    study = replace(search, sampler=name).run(storage=storage)
    found = records(study)
    trained = Counter(record.digest for record in found if record.outcome != "reused")
    assert len(trained) == 12
    assert set(trained.values()) == {1}
    assert study.user_attrs[EXHAUSTED] == (
        "the space is exhausted: all of its 12 networks were tried"
    )
    assert len(found) <= 12 * (REPEATS + 1)
    assert not [t for t in study.trials if t.state in (TrialState.FAIL, TrialState.WAITING)]


@pytest.mark.parametrize("name", ["local-search", "regularized-evolution", "reinforce"])
def test_what_proposes_whole_networks_repeats_itself_only_at_the_end(search, storage, name):
    study = replace(search, sampler=name).run(storage=storage)
    assert outcomes(study) == ["trained"] * 12 + ["reused"] * REPEATS


class Stuck(optuna.samplers.RandomSampler):
    """Draws the first of everything."""

    def sample_independent(self, study, trial, param_name, param_distribution):
        if hasattr(param_distribution, "choices"):
            return param_distribution.choices[0]
        return param_distribution.low


def few(trial: optuna.Trial, most: int = 500) -> nas.Architecture:
    width = trial.suggest_int("width", 1, most)
    nodes = [("hidden", "linear", {"features": width}), ("head", "classify", {})]
    return nas.Architecture.chain(nodes)


def test_a_sampler_that_repeats_itself_does_not_end_a_search_with_networks_left(search, storage):
    study = replace(search, space=few, sampler=Stuck()).run(trials=37, storage=storage)
    assert outcomes(study) == (["trained"] + ["reused"] * REPEATS) * 6 + ["trained"]
    assert len({trial.user_attrs["digest"] for trial in study.trials}) == 7
    assert "after 5 trials" in study.trials[REPEATS + 1].user_attrs["redrawn"]
    assert EXHAUSTED not in study.user_attrs


def test_an_exhausted_search_run_again_says_so_at_once(search, storage):
    count = len(search.run(storage=storage).trials)
    again = search.run(storage=storage)
    assert len(again.trials) == count
    again.enqueue_trial(again.trials[0].params)
    assert len(search.run(storage=storage).trials) > count
    assert "exhausted" in again.user_attrs[EXHAUSTED]


def test_what_a_cap_rejects_is_no_network_left(search, storage):
    cap = nas.objectives.Parameters(max=45)
    capped = replace(search, constraints=[cap], objectives=["flops"], samples=0)
    study = capped.run(storage=storage)
    assert Counter(outcomes(study))["rejected"] == 6
    assert "all of its 12 networks" in study.user_attrs[EXHAUSTED]


def test_modules_are_told_apart_by_their_parameters(search, storage):
    def modules(trial):
        return torch.nn.Linear(6, 2, bias=trial.suggest_categorical("bias", [True, False]))

    study = replace(search, space=modules).run(storage=storage)
    assert "all of its 2 networks" in study.user_attrs[EXHAUSTED]


def test_a_continuous_parameter_that_changes_nothing_is_not_called_the_whole_space(
    search, storage
):
    def idle(trial):
        trial.suggest_float("idle", 0, 1)
        return cells(trial)

    study = replace(search, space=idle).run(storage=storage)
    assert "seems exhausted: 12 networks" in study.user_attrs[EXHAUSTED]


def test_a_space_that_runs_in_trials_alone_ends_after_many_repetitions(
    search, storage, monkeypatch
):
    monkeypatch.setattr("optuna_nas.study.exhaustion.HOPELESS", 12)

    def own(trial):
        assert trial.study.study_name
        return few(trial)

    study = replace(search, space=own, sampler=Stuck(), samples=0).run(storage=storage)
    assert outcomes(study) == ["trained"] + ["reused"] * 12
    assert study.user_attrs[EXHAUSTED] == "the last 12 trials were all equal to earlier ones"


def test_paused_networks_are_taken_up_before_the_end(search, storage):
    thawing = replace(
        search,
        space=lambda trial: few(trial, 6),
        objectives=["accuracy", "parameters"],
        sampler="predictor",
        pruner="freeze-thaw",
        fidelity=nas.Budget((1, 2)),
    )
    study = thawing.run(storage=storage)
    trained = Counter(r.digest for r in records(study) if r.outcome == "trained")
    assert len(trained) == 6 and set(trained.values()) == {1}
    assert "exhausted" in study.user_attrs[EXHAUSTED]


def test_a_network_that_another_worker_trains_is_left_to_it(search, storage):
    study = search.study(storage)
    first = study.ask()
    cells(first)
    # What the other has written when it begins.
    first.set_user_attr("training", digest([cells(first).digest, search.training_description]))
    study.enqueue_trial(first.params)
    trial = study.ask()
    with pytest.raises(optuna.TrialPruned, match="equal to trial 0"):
        search.objective(trial)
    reused = study.trials[1].user_attrs
    assert reused["reused_from"] == 0
    assert reused["spent"]["epochs"] == 0


STUDY = """
import numpy as np
import optuna_nas as nas

X = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")


def space(trial):
    width = trial.suggest_int("width", 1, 3)
    return nas.Architecture.chain(
        [("hidden", "linear", {"features": width}), ("head", "classify", {})]
    )


search = nas.Search(
    name="three",
    space=space,
    data=nas.datasets.ArrayDataModule(X, (X[:, 0] > 0).astype("int64")),
    objectives=["parameters", "flops"],
)
"""


def test_the_command_ends_well_and_says_why(tmp_path):
    file = tmp_path / "three.py"
    file.write_text(STUDY)
    for _ in range(2):
        told = CliRunner().invoke(main, ["run", str(file)])
        assert told.exit_code == 0, told.output
        assert "The search ended: the space is exhausted: all of its 3 networks" in told.output
    told = CliRunner().invoke(main, ["run", str(file), "--json"])
    assert len(json.loads(told.stdout)) == 1
    assert "all of its 3 networks" in told.stderr


def conditional(trial):
    depth = trial.suggest_int("depth", 1, 2)
    widths = [trial.suggest_int(f"width{i}", 8, 24, step=8) for i in range(depth)]
    rate = trial.suggest_float("rate", 0.1, 0.3, step=0.1)
    if depth == 2 and widths[0] == 24:
        raise ValueError("no such network")
    return depth, tuple(widths), rate


def test_every_combination_of_a_conditional_space_is_met_once():
    every = Enumeration(conditional)
    found = list(every)
    networks = [proposal.drawn for proposal in found if proposal is not None]
    assert len(networks) == len(set(networks)) == 3 * 3 + 2 * 3 * 3
    assert len(found) - len(networks) == 3 * 3
    assert every.ended and not every.continuous


def test_a_range_without_steps_is_known_to_have_more():
    every = Enumeration(lambda trial: trial.suggest_float("x", 1e-3, 1, log=True))
    values = [proposal.drawn for proposal in every]
    assert every.continuous
    assert len(set(values)) == len(values) > 2
    assert all(1e-3 <= value <= 1 for value in values)
