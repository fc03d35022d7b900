"""A network that gets a full training: one that a search found, or one to compare it with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import optuna

from optuna_nas.spaces import Joint
from optuna_nas.spaces.given import Given
from optuna_nas.spaces.joint import network_parameters
from optuna_nas.study.record import Record

__all__ = ["Finalist", "Role", "of_trial"]

Role = Literal[
    "front", "tuned", "distilled", "pruned", "random search", "average", "control", "reference"
]


@dataclass(frozen=True)
class Finalist:
    """A network on its way from a search to production.

    Args:
        name: What tables call it, such as `trial 12`.
        role: Of the `front`; `tuned`, `distilled` or `pruned` from one of those; found by `random
            search` of the same cost; `average` of the space, drawn at random; `control`, made by
            hand as large as the best of the front; or a `reference` made by hand.
        space: Draws it, and nothing else.
        hyperparameters: Of its training, where a search drew some.
        searched: Its objective values in the search; empty where it was in none.
        studies: Names of those that found it, whose cost is counted beside what it gains.
    """

    name: str
    role: Role
    space: Callable[[Any], Any]
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    searched: Mapping[str, float] = field(default_factory=dict)
    studies: Sequence[str] = ()


def of_trial(study: optuna.Study, record: Record, space: Callable[[Any], Any]) -> Finalist:
    """The finalist that a trial of a search has found.

    Args:
        study: The study of the search.
        record: One of its trials.
        space: Space of the search.
    """
    params = study.get_trials(deepcopy=False)[record.number].params
    networks = space.space if isinstance(space, Joint) else space
    given = Given(networks, network_parameters(params))
    name, drawn = f"trial {record.number}", record.hyperparameters
    return Finalist(name, "front", given, drawn, record.values, (study.study_name,))
