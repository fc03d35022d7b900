"""What can be counted on a network that a sampler only thinks of, in milliseconds."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import NASError
from optuna_nas.objectives import FLOPs, Latency, Parameters
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.objective import STAGES, Objective

if TYPE_CHECKING:
    from optuna_nas.study.definition import Definition

__all__ = ["counters"]


def counters(search: Definition) -> dict[str, Any]:
    """What of a search's objectives is known without training, as `samplers.Predictor` asks.

    Returns:
        Name -> what counts it exactly on the meta device, for parameters and FLOPs; what learns
        it from the operators of networks that were measured, for a latency; None for what else
        has to be measured.
    """
    return {o.name: _known(search, o) for o in search.optimised if o.stage != STAGES[-1]}


def _known(search: Definition, objective: Objective) -> Any:
    if isinstance(objective, Parameters | FLOPs):
        return partial(_count, search, objective)
    if isinstance(objective, Latency) and search.outputs is not None:
        from optuna_nas.predictors import LearnedLatency  # slow to import

        return LearnedLatency(search.input_shape, search.outputs)
    return None


def _count(search: Definition, objective: Objective, drawn: Any) -> float:
    """The value for a network; NaN where only its trial can tell, such as for a module."""
    if not isinstance(drawn, Architecture):
        return math.nan
    try:
        return objective(Candidate(drawn, search.input_shape, search.outputs)).value
    except NASError:  # a network that does not build is for its trial to report
        return math.nan
