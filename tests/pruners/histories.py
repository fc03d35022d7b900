"""Random histories of a study, replayed with any pruner."""

import math
from dataclasses import dataclass

import numpy as np
import optuna
from hypothesis import strategies as st
from optuna.trial import TrialState

from optuna_nas.pruners import report, should_prune


@dataclass(frozen=True)
class Act:
    """One thing that happens to one of the running trials, or to a new one."""

    trial: int
    stride: int
    value: float
    asked: bool
    obeys: bool
    ending: TrialState | None


numbers = st.one_of(st.integers(0, 3).map(float), st.floats(-5, 5), st.just(math.nan))
endings = st.sampled_from([None] * 8 + [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL])
often = st.sampled_from([True, True, True, False])
acts = st.builds(
    Act, st.integers(0, 4), st.sampled_from([1, 2, 3, 9]), numbers, often, often, endings
)
histories = st.lists(acts, min_size=5, max_size=80)


def replay(study, history, vector=lambda value: [value]):
    """The decisions that a study's pruner takes in a history; up to five trials run at once."""
    running, decisions = {}, []
    for act in history:
        trial, step = running.get(act.trial) or (study.ask(), 0)
        step += act.stride
        running[act.trial] = (trial, step)
        values = vector(act.value)
        report(trial, step, dict(enumerate(values)))
        if act.asked:
            decisions.append((trial.number, step, should_prune(trial)))
            if decisions[-1][-1] and act.obeys:
                study.tell(trial, state=TrialState.PRUNED)
                del running[act.trial]
                continue
        if act.ending is not None:
            done = act.ending == TrialState.COMPLETE
            study.tell(trial, [0.0] * len(values) if done else None, state=act.ending)
            del running[act.trial]
    return decisions


def check_equal_to_optunas(ours, optunas, history, direction):
    """One objective: the same decisions as Optuna's pruner, and the same traces in storage."""
    mine, theirs = study_with(ours, [direction]), study_with(optunas, [direction])
    assert replay(mine, history) == replay(theirs, history)
    for trial, twin in zip(mine.trials, theirs.trials, strict=True):
        assert trial.system_attrs == twin.system_attrs


def check_constant_changes_nothing(make_pruner, history, one, other, first):
    """A constant objective, before or after the one that varies, changes no decision."""

    def beside(value):
        return [7.0, value] if first else [value, 7.0]

    alone = study_with(make_pruner(), [one])
    both = study_with(make_pruner(), [other, one] if first else [one, other])
    assert replay(both, history, beside) == replay(alone, history)


def study_with(pruner, directions):
    """A study in memory, always of one name, so that brackets are equal too."""
    return optuna.create_study(study_name="twin", directions=directions, pruner=pruner)


def candidates(seed, useless=50, useful=150, epochs=64):
    """Accuracies (N, epochs) and latencies (N,): the first ones stay at chance and are fastest."""
    rng = np.random.default_rng(seed)
    fast, slow = rng.uniform(0.05, 0.1, useless), np.exp(rng.uniform(-2.3, 2.1, useful))
    best = 0.55 + 0.4 * (1 - np.exp(-slow / 2)) * rng.uniform(0.6, 1, useful)
    final = np.concatenate([np.full(useless, 0.1), best])[:, None]
    pace = rng.uniform(3, 15, useless + useful)[:, None]
    learned = 0.1 + (final - 0.1) * (1 - np.exp(-np.arange(1, epochs + 1) / pace))
    noise = rng.normal(0, (0.003, 0.015)[seed % 2], learned.shape)
    return learned + noise, np.concatenate([fast, slow]), rng.permutation(useless + useful)
