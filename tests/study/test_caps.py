"""A candidate over a cap never trains, and storage says so before the trial ends."""

from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

import optuna_nas as nas
from optuna_nas.objectives import Accuracy, FLOPs, Objective, Parameters
from optuna_nas.study import from_scratch

X = np.random.default_rng(0).normal(size=(60, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


class Watched(InMemoryStorage):
    """Notes what a trial's constraints are at the moment it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ended: dict[int, dict[str, float]] = {}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state.is_finished():
            trial = self.get_trial(trial_id)
            self.ended[trial.number] = dict(trial.constraints)
        return super().set_trial_state_values(trial_id, state, values)


def space(trial: optuna.Trial) -> nas.Architecture:
    width = trial.suggest_int("width", 1, 100)
    return nas.Architecture.chain(
        [("hidden", "linear", {"features": width}), ("head", "classify", {})]
    )


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the trials that were trained."""
    numbers: list[int] = []
    fit = from_scratch.fit

    def noting(make_module, network, input_shape, data, pruning, **options):
        numbers.append(pruning._trial.number)
        return fit(make_module, network, input_shape, data, pruning, **options)

    monkeypatch.setattr(from_scratch, "fit", noting)
    return numbers


def run(sampler: str, cap: Objective) -> tuple[optuna.Study, dict[int, dict[str, float]]]:
    storage = Watched()
    others = [name for name in ("accuracy", "flops") if name != cap.name]
    search = nas.Search(
        name="caps",
        space=space,
        data=nas.datasets.ArrayDataModule(X, Y, batch_size=64),
        objectives=others,
        constraints=[cap],
        fidelity=nas.Budget(1),
        sampler=sampler,
        samples=0,
    )
    return search.run(trials=14, storage=storage), storage.ended


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "gp", "random"])
@pytest.mark.parametrize(
    "cap", [Parameters(max=452), FLOPs(max=800), Accuracy(min=0.6)], ids=lambda cap: cap.name
)
def test_a_broken_cap_is_in_storage_when_the_trial_ends(
    sampler: str, cap: Objective, fitted: list[int]
) -> None:
    study, ended = run(sampler, cap)
    rejected = [t for t in study.trials if t.user_attrs["outcome"] == "rejected"]
    assert 0 < len(rejected) < len(study.trials)
    for trial in study.trials:
        value = trial.user_attrs["measurements"][cap.name]["value"]
        assert ended[trial.number][cap.name] == cap.violation(value)
        broken = ended[trial.number][cap.name] > 0
        assert (trial.state == TrialState.PRUNED) == broken
        if broken and cap.stage != "trained":
            assert trial.number not in fitted
            assert trial.user_attrs["spent"]["epochs"] == 0
