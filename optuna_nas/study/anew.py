"""A trial of another device, as it would have been on this one."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.study._constrained_optimization import _CONSTRAINTS_KEY
from optuna.trial import FrozenTrial, TrialState
from torch import nn

from optuna_nas.exceptions import MeasurementError
from optuna_nas.objectives import Candidate, Measurement, Objective, Weighted
from optuna_nas.pruners.curve import PREFIX, from_json, to_json
from optuna_nas.pruners.lineages import RUNG
from optuna_nas.study.record import noted
from optuna_nas.study.remeasure import device_dependent, rebuilt

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["measured_anew"]

ATTEMPTS = 3
"""Failed measurements of a network before somebody is to blame."""

Calibrations = Mapping[str, Mapping[str, Any]]

_logger = logging.getLogger(__name__)


def measured_anew(
    search: Search,
    trial: FrozenTrial,
    calibrations: Calibrations,
    known: Mapping[str, Mapping[str, Any]],
) -> FrozenTrial:
    """A finished trial as it would have been here; one that measured nothing as it is.

    Args:
        search: The search of its study.
        trial: The trial, with the values of another device.
        calibrations: What the objectives' `calibrate` returned here.
        known: Digest of a network -> what was measured of it here.

    Raises:
        MeasurementError: The machine is too disturbed to measure anything.
    """
    before = trial.user_attrs.get("measurements", {})
    objectives = [o for o in device_dependent(search) if o.name in before]
    if not (trial.state.is_finished() and objectives):
        return trial
    anew = copy.deepcopy(trial)
    found = dict(known.get(trial.user_attrs["digest"], {}))
    measured = _measured(
        search, trial, [o for o in objectives if o.name not in found], calibrations
    )
    if isinstance(measured, Exception):
        _logger.warning(f"trial {trial.number} cannot be measured here: {measured}")
        return _failed(search, anew, objectives, f"{type(measured).__name__}: {measured}"[:2000])
    found |= measured
    here = {o.name: found[o.name] for o in objectives}
    _renew(search, anew, {name: m["value"] for name, m in here.items()})
    sums = [o for o in _depending(search, here) if o.name in before]
    here |= {o.name: _combined(o, {**before, **here}) for o in sums}
    anew.user_attrs = {**trial.user_attrs, "measurements": {**before, **here}}
    for objective in (*objectives, *sums):
        _constrain(anew, objective, here[objective.name]["value"])
    return _judged(anew)


def _measured(
    search: Search,
    trial: FrozenTrial,
    objectives: Sequence[Objective],
    calibrations: Calibrations,
) -> dict[str, Any] | Exception:
    """What objectives measure of a trial's network, or why it cannot be measured on this device.

    Raises:
        MeasurementError: It cannot be measured now, but no other network can either.
    """
    blameless = 0
    for _ in range(ATTEMPTS):
        try:
            candidate = rebuilt(search, trial, calibrations)
            return {o.name: noted(o, o(candidate)) for o in objectives}
        except Exception as error:  # whatever a space, a network or a disturbed machine does
            failure = error
            blameless += _measures_a_layer(search, objectives, calibrations)
    if blameless == ATTEMPTS:
        return failure
    raise MeasurementError(
        f"trial {trial.number} could not be measured here in {ATTEMPTS} attempts, nor could a "
        f"network of one layer beside it, so the cause is this machine: {failure}; end what else "
        "runs on it, and the same command goes on"
    ) from failure


def _measures_a_layer(
    search: Search, objectives: Sequence[Objective], calibrations: Calibrations
) -> bool:
    """Whether this machine measures a network with which nothing can be wrong."""
    layer = nn.Linear(math.prod(search.input_shape), search.outputs or 1)
    candidate = Candidate(
        nn.Sequential(nn.Flatten(), layer),
        search.input_shape,
        search.outputs,
        data=search.data,
        calibrations=calibrations,
    )
    try:
        for objective in objectives:
            objective(candidate)
    except Exception:  # the caller tells why the network could not be measured
        return False
    return True


def _depending(search: Search, names: Iterable[str]) -> list[Weighted]:
    """The weighted sums of a search that have one of these among their parts."""
    sums = [o for o in search.measured if isinstance(o, Weighted)]
    return [o for o in sums if {part.name for part in o.parts} & set(names)]


def _combined(objective: Weighted, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    parts = {part.name: found[part.name] for part in objective.parts}
    known = {name: Measurement(part["value"], part["spread"]) for name, part in parts.items()}
    origin = {key: value for key, value in found[objective.name].items() if key == "weights"}
    return noted(objective, objective.combined(known)) | origin


def _renew(search: Search, trial: FrozenTrial, here: Mapping[str, float]) -> None:
    """Put what was measured here into the curve, the rungs and the values of a trial."""
    measured = trial.user_attrs["measurements"]
    there = {name: measured[name]["value"] for name in here if name in measured}

    def now(objective: Objective, value: float) -> float:
        if isinstance(objective, Weighted):
            return value + objective.of(here) - objective.of(there)
        return here.get(objective.name, value)

    def renewed(stored: Any) -> Any:
        before = from_json(stored if isinstance(stored, list) else [stored])
        anew = [now(o, v) for o, v in zip(search.optimised, before, strict=True)]
        return to_json(anew) if isinstance(stored, list) else anew[0]

    attrs = trial.system_attrs
    trial.system_attrs = {
        key: renewed(stored) if key.startswith((PREFIX, RUNG)) else stored
        for key, stored in attrs.items()
    }
    trial.intermediate_values = {s: renewed(v) for s, v in trial.intermediate_values.items()}
    if trial.values is not None:
        trial.values = list(from_json(renewed(trial.values)))


def _constrain(trial: FrozenTrial, objective: Objective, value: float) -> None:
    violation = objective.violation(value)
    if violation is not None:
        attrs = trial.system_attrs
        attrs.pop(f"{_CONSTRAINTS_KEY}:{objective.name}", None)  # Optuna keeps the first value
        trial.system_attrs = attrs
        trial.set_constraint(objective.name, violation)


def _judged(trial: FrozenTrial) -> FrozenTrial:
    """A trial that a cap on the other device rejected, and none does here, is to be run."""
    rejected = trial.user_attrs.get("outcome") == "rejected"
    if rejected and all(violation <= 0 for violation in trial.constraints.values()):
        trial.state = TrialState.FAIL
        said = {"outcome": "interrupted", "ended": "keeps its caps on this device: to be run"}
        trial.user_attrs = {**trial.user_attrs, **said}
    return trial


def _failed(
    search: Search, trial: FrozenTrial, objectives: Sequence[Objective], reason: str
) -> FrozenTrial:
    """A trial that cannot be measured here, without what was measured of it elsewhere."""
    gone = {o.name for o in objectives}
    _renew(search, trial, dict.fromkeys(gone, math.nan))
    gone |= {o.name for o in _depending(search, gone)}
    trial.values, trial.state = None, TrialState.FAIL
    kept = {k: v for k, v in trial.user_attrs["measurements"].items() if k not in gone}
    said = {"measurements": kept, "outcome": "failed", "ended": reason}
    trial.user_attrs = {**trial.user_attrs, **said}
    broken = {f"{_CONSTRAINTS_KEY}:{name}" for name in gone}
    trial.system_attrs = {
        key: value
        for key, value in trial.system_attrs.items()
        if not (key.startswith(RUNG) or key in broken)
    }
    return trial
