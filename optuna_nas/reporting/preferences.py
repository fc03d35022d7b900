"""Which operators and sizes the networks of a front have, beside random networks of the space."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import optuna

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.reporting.front import front
from optuna_nas.reporting.graph import graph
from optuna_nas.reporting.text import quantity
from optuna_nas.samplers.virtual import draw, heir
from optuna_nas.study.record import records

__all__ = ["Preference", "Preferences", "preferences"]

DRAWS = 200
SECONDS = 5.0
"""For drawing them, at most."""
FIRST = 10
"""Trials before which no sampler that we know of has anything to learn from."""
FEWEST = 5
"""Random networks to compare with, at least."""
VALUES = 6
"""Different numbers of one argument that are shown one by one; more are put together."""
MOST = 24
"""Rows of all arguments together, at most."""
OPERATOR = "operator"

Shares = Mapping[str, Mapping[Any, float]]
"""What of a network -> value -> share of the nodes that have it."""


class Preference(NamedTuple):
    """How often networks have one value of something that they choose.

    Args:
        group: What is chosen: `operator`, an argument of operators, or a parameter of the space.
        value: One of its values.
        front: Mean share among the nodes of a network, over those of the front.
        error: Standard error of that mean; 0 for a single network.
        random: Mean share over random networks.
    """

    group: str
    value: str
    front: float
    error: float
    random: float


class Preferences(NamedTuple):
    """What the front prefers.

    Args:
        rows: One for each value, operators first, then what differs most.
        networks: Networks of the front that were compared.
        others: Random networks that they were compared with.
        source: What these are; where there are too few, that there is nothing to compare with.
    """

    rows: Sequence[Preference]
    networks: int
    others: int
    source: str


def preferences(study: optuna.Study, space: Callable[[Any], Any] | None = None) -> Preferences:
    """Compare the networks of a front with random ones, by their nodes or by their parameters.

    With the space, 200 networks are drawn from it, or as many as five seconds allow, whether or
    not they keep the caps of the search. Without it, or where it cannot be drawn from outside of
    a study, the first ten trials stand for random ones, or all of a random search.
    Where spaces return modules there are no nodes, so parameters are compared; those that only
    some networks have are compared among these. The last node, which is what all networks of a
    space end with, does not count.

    Args:
        study: The study.
        space: The space of its search.
    """
    found = front(study)
    trials = study.get_trials(deepcopy=False)
    chosen = [_Network(graph(r.architecture), trials[r.number].params) for r in found]
    others, source = _random(study, space)
    if not chosen or len(others) < FEWEST:
        return Preferences([], len(chosen), len(others), "too few random networks to compare with")
    graphs = all(network.architecture is not None for network in (*chosen, *others))
    shares = [[_shares(network, graphs) for network in group] for group in (chosen, others)]
    return Preferences(_rows(*shares), len(chosen), len(others), source)


class _Network(NamedTuple):
    architecture: Architecture | None
    params: Mapping[str, Any]


def _random(study: optuna.Study, space: Callable[[Any], Any] | None) -> tuple[list[_Network], str]:
    if space is not None and len(found := _drawn(space)) >= FEWEST:
        return found, f"{len(found)} random networks"
    search = study.user_attrs.get("search") or {}
    everything = records(study)
    if search.get("sampler") != "random":
        everything = everything[:FIRST]
    trials = study.get_trials(deepcopy=False)
    drawn = [
        _Network(graph(record.architecture), trials[record.number].params)
        for record in everything
        if record.finished and "fixed_params" not in trials[record.number].system_attrs
    ]
    drawn = [network for network in drawn if network.params]
    return drawn, f"first {len(drawn)} trials"


def _drawn(space: Callable[[Any], Any]) -> list[_Network]:
    rng, ends = np.random.default_rng(0), time.monotonic() + SECONDS
    found: list[_Network] = []
    for _ in range(DRAWS):
        if time.monotonic() > ends:
            break
        with suppress(SpaceError):  # some draws are no network, or it needs data or weights
            proposal = draw(space, heir((), 1.0, rng))
            drawn = proposal.drawn if isinstance(proposal.drawn, Architecture) else None
            found.append(_Network(drawn, proposal.params))
    return found


def _shares(network: _Network, graphs: bool) -> Shares:
    if network.architecture is None or not graphs:
        return {name: {_plain(value): 1.0} for name, value in network.params.items()}
    counts: dict[str, Counter[Any]] = {}
    for node in network.architecture.alive[:-1]:
        counts.setdefault(OPERATOR, Counter())[node.kind] += 1
        for name, value in node.args.items():
            counts.setdefault(name, Counter())[_plain(value)] += 1
    return {
        group: {value: number / count.total() for value, number in count.items()}
        for group, count in counts.items()
    }


def _plain(value: Any) -> Any:
    """A value that can be counted."""
    return value if isinstance(value, str | int | float) else json.dumps(value)


def _rows(chosen: Sequence[Shares], others: Sequence[Shares]) -> list[Preference]:
    groups = dict.fromkeys(group for shares in (*others, *chosen) for group in shares)
    compared = [_compared(group, chosen, others) for group in groups]
    compared = [rows for rows in compared if any(row.front != row.random for row in rows)]
    compared.sort(key=lambda rows: (rows[0].group != OPERATOR, -_difference(rows)))
    kept: list[Preference] = []
    for rows in compared:
        if len(kept) + len(rows) <= MOST:
            kept += rows
    return kept


def _difference(rows: Iterable[Preference]) -> float:
    return max(abs(row.front - row.random) for row in rows)


def _compared(group: str, chosen: Sequence[Shares], others: Sequence[Shares]) -> list[Preference]:
    """The values of one group; of what is on or off, on alone."""
    mine, theirs = ([s[group] for s in shares if group in s] for shares in (chosen, others))
    if not mine or not theirs:
        return []
    rows = []
    for text, values in _values([*mine, *theirs]).items():
        front, random = (
            np.array([sum(one.get(value, 0.0) for value in values) for one in shares])
            for shares in (mine, theirs)
        )
        error = float(front.std(ddof=1)) / len(front) ** 0.5 if len(front) > 1 else 0.0
        rows.append(Preference(group, text, float(front.mean()), error, float(random.mean())))
    return rows


def _values(shares: Sequence[Mapping[Any, float]]) -> dict[str, list[Any]]:
    """Text -> the values that it stands for."""
    values = list(dict.fromkeys(value for one in shares for value in one))
    if all(isinstance(value, bool) for value in values):
        return {"yes": [True]}
    if any(isinstance(value, str | bool) for value in values):
        return {str(value): [value] for value in values}
    values.sort()
    if len(values) <= VALUES:
        return {quantity(value): [value] for value in values}
    quarters = [list(part) for part in np.array_split(np.array(values, dtype=object), 4)]
    return {f"{quantity(part[0])} to {quantity(part[-1])}": part for part in quarters}
