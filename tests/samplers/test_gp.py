"""Every named sampler but the random one learns from trials that a cap rejected."""

from collections.abc import Callable

import optuna
import pytest
from optuna.trial import TrialState

from optuna_nas import samplers


def greedy(widths: int, cap: int) -> Callable[[optuna.Trial], float]:
    """Best where it costs most; four fifths of the space and more cost too much."""

    def objective(trial: optuna.Trial) -> float:
        width = sum(trial.suggest_int(f"width{i}", 1, 100) for i in range(widths))
        trial.set_constraint("cost", width / cap - 1)
        if width > cap:
            raise optuna.TrialPruned
        return float(width)

    return objective


@pytest.mark.parametrize(
    ("name", "widths", "cap", "trials"),
    [("nsga2", 10, 400, 120), ("tpe", 10, 400, 120), ("gp", 1, 20, 20)],
)
def test_what_is_rejected_is_proposed_less(name: str, widths: int, cap: int, trials: int) -> None:
    study = optuna.create_study(direction="maximize", sampler=samplers.by_name(name, seed=0))
    study.optimize(greedy(widths, cap), n_trials=trials)
    rejected = [trial.state == TrialState.PRUNED for trial in study.trials]
    assert sum(rejected[:10]) >= 7
    assert sum(rejected[-10:]) <= 6  # the best ones lie at the cap


def conditional(trial: optuna.Trial) -> tuple[float, float]:
    """Two caps, of which a trial sets those up to the first that it breaks."""
    width = trial.suggest_int("width", 1, 100)
    trial.set_constraint("width", width - 60.0)
    if width > 60:
        raise optuna.TrialPruned
    depth = trial.suggest_int("depth", 1, 10)
    trial.set_constraint("depth", depth - 6.0)
    if depth > 6:
        raise optuna.TrialPruned
    return float(width), float(depth)


def test_gp_bears_trials_that_broke_different_caps() -> None:
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=samplers.by_name("gp", seed=0)
    )
    study.optimize(conditional, n_trials=25)
    assert {len(trial.constraints) for trial in study.trials} == {1, 2}
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
