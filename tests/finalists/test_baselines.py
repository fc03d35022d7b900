"""What finalists have to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna
import pytest
import torch
from torch import nn

import optuna_nas as nas
from optuna_nas.finalists import Finals
from optuna_nas.finalists.references import mobilenet_v3_small, references, resnet18, scaled
from tests.finalists.conftest import RECIPE

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


@pytest.mark.parametrize("make", [resnet18, mobilenet_v3_small])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 48, 64)])
def test_networks_by_hand_run_and_are_scaled(
    make: Callable[..., nn.Module], shape: tuple[int, ...]
) -> None:
    assert make(shape, 7, 4)(torch.zeros(2, *shape)).shape == (2, 7)
    for reference in references(shape, 7).values():
        assert scaled(reference, 1e5).parameters == pytest.approx(1e5, rel=0.4)


def test_inputs_without_a_network_by_hand_have_none() -> None:
    assert references((16, 4), 10) == {}
    assert list(references((9,), 1)) == ["mlp"]
