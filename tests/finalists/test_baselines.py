"""What finalists have to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import optuna
import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas.exceptions import DescriptionError, SearchStopped, SpaceError
from optuna_nas.finalists import Finals, baselines
from optuna_nas.finalists.comparison import average, random_search
from optuna_nas.finalists.evaluation import candidate
from optuna_nas.finalists.references import (
    control,
    mobilenet_v3_small,
    references,
    resnet18,
    scaled,
)
from tests.finalists.conftest import RECIPE, describe_search

Finish = Callable[..., Finals]

pytestmark = pytest.mark.usefixtures("untimed")


def test_random_search_gets_what_the_search_has_spent(finish: Finish, study: optuna.Study) -> None:
    finals = finish(replace(RECIPE, seeds=1), against_random=True)
    assert [f.retrained.finalist.role for f in finals.finals] == ["front", "random search"]
    other = optuna.load_study(study_name="small@random", storage=study._storage)
    spent, own = (nas.reporting.status(one)["epochs"] for one in (other, study))
    assert own <= spent < own + 2
    assert {t.user_attrs["outcome"] for t in other.trials} <= {"trained", "reused"}
    trials = len(other.trials)
    again = finish(replace(RECIPE, seeds=1), against_random=True)
    assert len(other.trials) == trials and again.as_json() == finals.as_json()
    assert finals.verdict != "Nothing was compared with the finalists."


def test_a_pretrained_reference_is_trained_on_from_its_weights(
    search: nas.Search, study: optuna.Study, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    pretrained = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = {name: weight.clone() for name, weight in pretrained.state_dict().items()}
    own = {"pretrained": pretrained, "made": lambda: pretrained}
    given = [one for one in baselines(search, [], 1, own) if one.name in own]
    slow = partial(nas.model.Classifier, learning_rate=1e-9)
    train = replace(RECIPE, module=slow, average=None)
    for one in given:
        found = train(search, one, optuna.storages.InMemoryStorage(), tmp_path)
        for seed in (0, 1):
            for name, weight in candidate(found, seed).network.state_dict().items():
                assert torch.allclose(weight, before[name], atol=1e-5)
    fast = replace(RECIPE, seeds=1)
    fast(search, given[0], optuna.storages.InMemoryStorage(), tmp_path)
    assert all(torch.equal(weight, before[n]) for n, weight in pretrained.state_dict().items())
    torch.manual_seed(1)
    other = {"pretrained": nn.Sequential(nn.Flatten(), nn.Linear(64, 10))}
    (changed,) = (one for one in baselines(search, [], 1, other) if one.name in other)
    described = [train.search(search, one, tmp_path).description for one in (given[0], changed)]
    assert described[0] != described[1]
    with pytest.raises(DescriptionError, match="'none' to be a network, or a function"):
        baselines(search, [], 1, {"none": "resnet50"})
    with pytest.raises(DescriptionError, match=r"references = .*got \['resnet50'\]"):
        baselines(search, [], 1, ["resnet50"])


@pytest.mark.parametrize("make", [resnet18, mobilenet_v3_small])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 48, 64)])
def test_networks_by_hand_run_and_are_scaled(
    make: Callable[..., nn.Module], shape: tuple[int, ...]
) -> None:
    assert make(shape, 7, 4)(torch.zeros(2, *shape)).shape == (2, 7)
    for reference in references(shape, 7).values():
        assert scaled(reference, 1e5).parameters == pytest.approx(1e5, rel=0.4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 40), (16,)])
@pytest.mark.parametrize("size", [250, 1_000, 3_000, 20_000, 300_000])
def test_a_control_has_the_size_of_any_finalist(shape: tuple[int, ...], size: int) -> None:
    made = control(shape, 10, size)
    assert made is not None
    name, network = made
    residual = len(shape) == 3 and size in (3_000, 300_000)
    assert (name == "resnet18-like") == residual
    assert network.parameters == pytest.approx(size, rel=0.25)
    assert network(None)(torch.zeros(2, *shape)).shape == (2, 10)


def test_no_control_pretends_to_a_size_that_it_cannot_have() -> None:
    assert control((1, 8, 8), 10, 20) is None
    assert control((16, 4), 10, 1_000) is None


def test_inputs_without_a_network_by_hand_have_none() -> None:
    assert references((16, 4), 10) == {}
    assert list(references((9,), 1)) == ["mlp"]


def test_a_reference_of_a_known_name_takes_its_place_and_others_have_names_of_their_own(
    search: nas.Search,
) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    found = baselines(search, [], 1, {"resnet18-like": network})
    assert [one.name for one in found if one.role == "reference"] == [
        "resnet18-like",
        "mobilenetv3-small-like",
    ]
    with pytest.raises(DescriptionError, match="names of their own, got random 1"):
        baselines(search, [], 1, {"random 1": network})


def test_networks_that_a_space_refuses_are_drawn_again() -> None:
    def space(trial: optuna.Trial) -> nn.Module:
        width = trial.suggest_int("width", 1, 8)
        if width % 2:
            raise optuna.TrialPruned
        return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10))

    found = average(describe_search(space=space), 5)
    assert [one.name for one in found] == [f"random {number}" for number in range(1, 6)]

    def broken(trial: optuna.Trial) -> nn.Module:
        raise ValueError("it is broken")

    with pytest.raises(SpaceError, match="it is broken"):
        average(describe_search(space=broken), 5)


def test_random_search_ends_where_every_training_fails(
    search: nas.Search, study: optuna.Study
) -> None:
    def failing(network: nn.Module) -> nas.model.Classifier:
        raise RuntimeError("no such device")

    with pytest.raises(SearchStopped, match="no such device"):
        random_search(replace(search, module=failing, max_failures=1), study)


def test_networks_by_hand_for_numbers_are_not_given_ids_of_tokens(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("ab cd" * 400)
    data = nas.datasets.Characters(tmp_path / "text.txt", context=16)
    space = nas.spaces.Transformer(
        input_shape=(16,), vocabulary=data.outputs, layers=(1, 2), widths=(8,), heads=(1,)
    )
    found = baselines(describe_search(space=space, data=data), [], 2, {})
    assert [one.role for one in found] == ["average", "average"]
