"""Measuring networks of a study again, from what is in storage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import FixedTrial, FrozenTrial

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.measuring.device import fingerprint
from optuna_nas.objectives import STAGES, Candidate, Objective, Weighted
from optuna_nas.study.begin import prepare
from optuna_nas.study.training import seeded

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["Progress", "device_dependent", "rebuilt", "remeasure"]

Progress = Callable[[int, int], None]
"""Told how many networks were measured, and of how many."""


def remeasure(
    search: Search,
    study: optuna.Study,
    numbers: Sequence[int],
    rounds: int = 5,
    progress: Progress = lambda done, of: None,
) -> dict[str, Any]:
    """Measure trials again, in turn, round by round, and see whether their order stands.

    The trials stay as they are; what was found is left in the study's user attribute
    `remeasured` as JSON: `date`, `rounds`, `device`, and under `objectives` for each quantity that
    depends on the device its `name`, `unit` and `backend`; `members`, each with its `number`, its
    value and spread `before`, and `after` the median and interquartile range of the rounds (None
    where all were refused), with the `values` of each (None for a refused one); `tau`, Kendall's
    rank correlation of the two orders (None for fewer than two members); and `swapped`, the pairs
    of trials that changed places.

    Args:
        search: The search of the study.
        study: The study.
        numbers: Trials to measure, such as those of its front.
        rounds: How often to measure each.
        progress: Told after each measurement of a network.

    Raises:
        DescriptionError: No round, no trial, or no quantity that depends on the device.
        StudyError: The study was measured on another device.
    """
    objectives = device_dependent(search)
    if rounds < 1 or not numbers:
        raise DescriptionError(
            f"expected at least one round and one trial to measure, got {rounds} and "
            f"{len(numbers)}; run the search first"
        )
    if not objectives:
        raise DescriptionError(
            f"expected an objective that depends on the device, such as Latency, got "
            f"{', '.join(o.name for o in search.measured)}; there is nothing to measure again"
        )
    prepare(search, study)
    every = study.get_trials(deepcopy=False)
    trials = [every[number] for number in numbers]
    calibrations = study.user_attrs["calibrations"]
    values: dict[str, dict[int, list[float | None]]]
    values = {o.name: {number: [] for number in numbers} for o in objectives}
    for done in range(rounds * len(trials)):
        trial = trials[done % len(trials)]
        candidate = rebuilt(search, trial, calibrations)
        for objective in objectives:
            values[objective.name][trial.number].append(_value(objective, candidate))
        progress(done + 1, rounds * len(trials))
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "rounds": rounds,
        "device": fingerprint(),
        "objectives": [_compared(o, trials, values[o.name]) for o in objectives],
    }
    study.set_user_attr("remeasured", found)
    return found


def device_dependent(search: Search) -> list[Objective]:
    """What a search measures that depends on the machine, and not on training.

    Weighted sums are left out: they follow from what is measured.
    """
    known = (o for o in search.measured if o.on_device and o.stage != STAGES[-1])
    return [o for o in known if not isinstance(o, Weighted)]


def rebuilt(
    search: Search, trial: FrozenTrial, calibrations: Mapping[str, Mapping[str, Any]]
) -> Candidate:
    """The network of a trial, as it was before training, from what the trial left.

    Where the space returned a module there is no graph in storage, and the space is run again.
    """
    seed = trial.user_attrs["provenance"]["seed"]
    stored = trial.user_attrs.get("architecture")
    if stored is None:
        drawn = seeded(search.space, seed, FixedTrial(trial.params, trial.number))
    else:
        drawn = Architecture.from_json(json.dumps(stored))
    return Candidate(
        drawn,
        search.input_shape,
        search.outputs,
        seed=seed,
        data=search.data,
        calibrations=calibrations,
    )


def _value(objective: Objective, candidate: Candidate) -> float | None:
    try:
        return float(objective(candidate).value)
    except MeasurementError:  # refused in this round; others follow
        return None


def _compared(
    objective: Objective, trials: Sequence[FrozenTrial], values: Mapping[int, list[float | None]]
) -> dict[str, Any]:
    members = [_member(objective, trial, values[trial.number]) for trial in trials]
    pairs = [
        (
            one["number"],
            other["number"],
            _order(one, other, "before") * _order(one, other, "after"),
        )
        for one, other in combinations(members, 2)
        if one["after"] is not None and other["after"] is not None
    ]
    measured = trials[0].user_attrs["measurements"].get(objective.name, {})
    return {
        "name": objective.name,
        "unit": objective.unit,
        "backend": measured.get("backend"),
        "tau": sum(agree for _, _, agree in pairs) / len(pairs) if pairs else None,
        "swapped": [[one, other] for one, other, agree in pairs if agree < 0],
        "members": members,
    }


def _member(
    objective: Objective, trial: FrozenTrial, values: Sequence[float | None]
) -> dict[str, Any]:
    before = trial.user_attrs["measurements"][objective.name]
    known = [value for value in values if value is not None]
    quartiles = np.percentile(known, (25, 50, 75)).tolist() if known else []
    return {
        "number": trial.number,
        "before": before["value"],
        "spread_before": before["spread"],
        "after": quartiles[1] if known else None,
        "spread_after": quartiles[2] - quartiles[0] if known else None,
        "values": list(values),
    }


def _order(one: Mapping[str, Any], other: Mapping[str, Any], key: str) -> int:
    return int(np.sign(one[key] - other[key]))
