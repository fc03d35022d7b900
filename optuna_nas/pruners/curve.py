"""Learning curves in storage: written by `report`, judged by `should_prune`, read by `curve`.

With one objective a curve is Optuna's intermediate values. With several it is one system attribute
`nas:step:<n>` a step, the values in the order of the objectives: Optuna's TPE sampler crashes on a
pruned trial that has intermediate values and several objectives.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, SupportsFloat, SupportsIndex
from weakref import WeakKeyDictionary

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.trial import BaseTrial, FrozenTrial, Trial

from optuna_nas.exceptions import DescriptionError, ReportError

__all__ = ["bare", "curve", "from_json", "in_order", "latest", "report", "should_prune", "to_json"]

PREFIX = "nas:step:"


def report(trial: BaseTrial, step: int, values: Mapping[str, float]) -> None:
    """Report the current value of every objective, as `Trial.report` does for one.

    A step reported before is ignored with a warning. A `FixedTrial` or `FrozenTrial`, used to
    debug an objective function, reports nothing.

    Args:
        trial: The running trial.
        step: Resource spent so far, such as epochs; a non-negative integer.
        values: Objective name -> value, NaN allowed. Keys are the study's metric names, with or
            without a unit in parentheses; where it has none, the order of the mapping counts.

    Raises:
        ReportError: A key is missing or unknown, or a value is not a number.
        TypeError: The step is not an integer.
        ValueError: The step is negative.
    """
    if not isinstance(trial, Trial):
        return
    vector = _ordered(values, _names(trial), len(trial.study.directions))
    if len(vector) == 1:
        trial.report(vector[0], step)
        return
    key = f"{PREFIX}{_checked(step)}"
    known = trial._cached_frozen_trial.system_attrs
    if key in known:
        warnings.warn(f"ignored the values reported again for step {step}", stacklevel=2)
        return
    stored = to_json(vector)
    trial.storage.set_trial_system_attr(trial._trial_id, key, stored)
    known[key] = stored


def should_prune(trial: BaseTrial) -> bool:
    """Whether the study's pruner would stop this trial now, with any number of objectives.

    Raises:
        DescriptionError: The study has several objectives and a pruner that can judge only one.
    """
    if not isinstance(trial, Trial):
        return False
    study = trial.study
    if len(study.directions) > 1:
        check_pruner(study.pruner)
    return study.pruner.prune(study, trial._get_latest_trial())


def curve(trial: FrozenTrial, objectives: int) -> dict[int, tuple[float, ...]]:
    """Every reported step of a trial -> its values in the order of the objectives, by step."""
    if objectives == 1:
        return {step: (value,) for step, value in sorted(trial.intermediate_values.items())}
    attrs = trial.system_attrs
    steps = sorted(int(key[len(PREFIX) :]) for key in attrs if key.startswith(PREFIX))
    return {step: from_json(attrs[f"{PREFIX}{step}"]) for step in steps}


def latest(trial: FrozenTrial, objectives: int) -> tuple[int, tuple[float, ...]] | None:
    """The last reported step of a trial and its values, or None before the first report."""
    if objectives == 1:
        step = trial.last_step
        return None if step is None else (step, (trial.intermediate_values[step],))
    attrs = trial.system_attrs
    step = max((int(key[len(PREFIX) :]) for key in attrs if key.startswith(PREFIX)), default=None)
    return None if step is None else (step, from_json(attrs[f"{PREFIX}{step}"]))


def in_order(values: Mapping[str, float], study: optuna.Study) -> tuple[float, ...]:
    """The values of a mapping in the order of the study's objectives.

    Raises:
        ReportError: A key is missing or unknown, or a value is not a number.
    """
    return _ordered(values, study.metric_names, len(study.directions))


def _names(trial: Trial) -> list[str] | None:
    """Metric names of a trial's study, read from storage once a trial."""
    if trial not in _NAMES:
        _NAMES[trial] = trial.study.metric_names
    return _NAMES[trial]


_NAMES: WeakKeyDictionary[Trial, list[str] | None] = WeakKeyDictionary()


def _ordered(
    values: Mapping[str, float], names: list[str] | None, objectives: int
) -> tuple[float, ...]:
    if names is None:
        if len(values) != objectives:
            raise ReportError(
                f"expected {objectives} values, one for each direction of the study, "
                f"got {list(values)}; name the objectives by study.set_metric_names"
            )
        return tuple(_number(key, value) for key, value in values.items())
    keys = [name if name in values else bare(name) for name in names]
    if set(keys) != set(values):
        raise ReportError(
            f"expected one value for each of {names}, got {list(values)}; "
            "a unit in parentheses may be left out"
        )
    return tuple(_number(key, values[key]) for key in keys)


def to_json(vector: Sequence[float]) -> list[Any]:
    """A vector as strict JSON: NaN becomes null, an infinity its name."""
    return [v if math.isfinite(v) else None if math.isnan(v) else str(v) for v in vector]


def from_json(stored: Sequence[Any]) -> tuple[float, ...]:
    """The vector that `to_json` stored."""
    return tuple(math.nan if value is None else float(value) for value in stored)


def bare(name: str) -> str:
    """A metric name without its unit: "latency (ms)" -> "latency"."""
    return name.split(" (")[0]


def _number(key: str, value: SupportsFloat | SupportsIndex) -> float:
    try:
        if isinstance(value, str):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise ReportError(
            f"expected a number for {key!r}, got {value!r} of type {type(value).__name__}"
        ) from None


def _checked(step: int) -> int:
    try:
        number = int(step)
        if number != step:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"expected an integer step, got {step!r} of type {type(step).__name__}"
        ) from None
    if number < 0:
        raise ReportError(f"expected a step of 0 or more, got {step}")
    return number


def check_pruner(pruner: BasePruner) -> None:
    # Optuna's own pruners would find no intermediate values and silently prune nothing.
    stock = type(pruner).__module__.startswith("optuna.pruners.")
    if stock and not isinstance(pruner, NopPruner):
        raise DescriptionError(
            f"expected a pruner for several objectives, got {type(pruner).__name__} "
            "(Optuna's default is MedianPruner); give the study "
            "pruner=optuna_nas.pruners.ParetoHyperband(...) or optuna.pruners.NopPruner()"
        )
