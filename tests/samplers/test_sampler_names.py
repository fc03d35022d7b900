import pickle
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from optuna_nas import samplers
from optuna_nas.exceptions import DescriptionError
from optuna_nas.pruners.curve import report

NAMES = ["nsga2", "random", "tpe", "gp", "regularized-evolution", "local-search", "reinforce"]


def rough(trial: optuna.Trial) -> tuple[float, float]:
    """Conditional, two objectives; some trials are rejected, some pruned, some fail."""
    width = trial.suggest_int("width", 8, 64, step=8)
    error = 1 / width
    if trial.suggest_categorical("operator", ["conv", "pool"]) == "conv":
        error *= trial.suggest_float("conv.gain", 0.1, 1.0, log=True)
    if trial.number % 6 == 3:
        raise ValueError("a trial that fails")
    trial.set_constraint("width", float(width - 48))
    if width > 48:
        raise optuna.TrialPruned
    for step in (1, 2):
        report(trial, step, {"error": error + 1 / step, "width": width})
        if trial.number % 3 == step:
            raise optuna.TrialPruned
    return error, width


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("enough", [True, False], ids=["some complete", "none complete"])
def test_every_sampler_survives_pruned_rejected_and_failed_trials(name: str, enough: bool) -> None:
    def objective(trial: optuna.Trial) -> tuple[float, float]:
        values = rough(trial)
        if not enough:
            raise optuna.TrialPruned
        return values

    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=samplers.by_name(name, seed=1)
    )
    study.optimize(objective, n_trials=30, catch=ValueError)
    states = {trial.state for trial in study.trials}
    assert states >= {TrialState.PRUNED, TrialState.FAIL}
    assert (TrialState.COMPLETE in states) == enough


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_the_choices_of_a_named_sampler(name: str) -> None:
    def first() -> dict[str, float]:
        study = optuna.create_study(sampler=samplers.by_name(name, seed=3))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
        return study.best_params

    assert first() == first()


@pytest.mark.parametrize("name", NAMES)
def test_draws_hang_on_the_seed_and_the_trial_alone(name: str) -> None:
    """So that workers differ from each other, and a resumed study does not repeat itself."""

    def draws(seed: int, trials: int) -> list[float]:
        study = optuna.create_study()
        drawn = []
        for _ in range(trials):
            study.sampler = samplers.by_name(name, seed)  # as if resumed before each trial
            drawn.append(study.ask().suggest_float("x", 0, 1))
        return drawn

    assert len(set(draws(3, 4))) == 4
    assert draws(3, 4) == draws(3, 4)
    assert draws(3, 4) != draws(4, 4)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(DescriptionError, match=r"a sampler among gp, local-search, .* got 'x'"):
        samplers.by_name("x", seed=0)
    with pytest.raises(DescriptionError, match="got 'nsga'; did you mean 'nsga2'"):
        samplers.by_name("nsga", seed=0)


def test_the_folder_loads_neither_torch_nor_plotly() -> None:
    code = "import sys, optuna_nas.samplers; assert not {'torch', 'plotly'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_study_goes_on_with_the_same_draws(name: str) -> None:
    def run(resumed: bool) -> list[dict[str, float]]:
        study = optuna.create_study(sampler=samplers.by_name(name, 5))
        for _ in range(14):
            if resumed:
                study.sampler = pickle.loads(pickle.dumps(samplers.by_name(name, 5)))
            trial = study.ask()
            study.tell(trial, trial.suggest_float("x", 0, 1) + trial.suggest_float("y", 0, 1))
        return [trial.params for trial in study.trials]

    assert run(resumed=True) == run(resumed=False)
