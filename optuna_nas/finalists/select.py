"""Choosing a few networks that stand for a whole front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray

from optuna_nas import pareto
from optuna_nas.exceptions import DescriptionError
from optuna_nas.names import choose
from optuna_nas.reporting import front
from optuna_nas.study.record import Record, objective_names

__all__ = ["RULES", "select"]


def _spread(scaled: NDArray[np.float64], count: int) -> list[int]:
    """The best of the first objective, then again and again the farthest from those chosen."""
    chosen = [int(scaled[:, 0].argmin())]
    while len(chosen) < count:
        distances = np.linalg.norm(scaled[:, None] - scaled[chosen], axis=2).min(axis=1)
        chosen.append(int(distances.argmax()))
    return chosen


def _knee(scaled: NDArray[np.float64], count: int) -> list[int]:
    """The nearest to the point that is best in every objective."""
    return [int(i) for i in np.linalg.norm(scaled, axis=1).argsort(kind="stable")[:count]]


def _best(scaled: NDArray[np.float64], count: int) -> list[int]:
    """The best of the first objective."""
    return [int(i) for i in scaled[:, 0].argsort(kind="stable")[:count]]


RULES: dict[str, Callable[[NDArray[np.float64], int], list[int]]] = {
    "best": _best,
    "knee": _knee,
    "spread": _spread,
}
"""Losses of a front (N, objectives), each scaled to 0 to 1, and a count -> which are chosen."""


def select(
    study: optuna.Study,
    count: int,
    rule: str = "spread",
    within: Mapping[str, float] | None = None,
    numbers: Sequence[int] = (),
) -> list[Record]:
    """Choose networks of the front, in the order of the first objective, best first.

    Args:
        study: A study with complete trials.
        count: How many at most; a smaller front is taken whole.
        rule: `spread`: the best in the first objective, and each further one the farthest from
            those chosen before it; `knee`: the nearest to the point that is best in everything;
            `best`: the best in the first objective. Every objective is scaled to the front.
        within: Objective -> the worst value that is still good enough, such as {"latency": 8}.
        numbers: Trials of the front to take instead, by hand.

    Raises:
        DescriptionError: `count` is below 1, an unknown rule or objective, or a trial that is not
            on the front.

    Source: farthest-point clustering, Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5; knees by
    the distance to the ideal point, Branke et al. 2004, doi:10.1007/978-3-540-30217-9_73.
    """
    if count < 1:
        raise DescriptionError(f"expected at least 1 finalist, got {count}")
    pick = choose("rule", rule, RULES)
    found = front(study)
    if numbers:
        return _by_hand(found, numbers)
    found = _kept(study, found, within or {})
    if len(found) <= count:
        return found
    points = pareto.losses([[*record.values.values()] for record in found], study.directions)
    width = np.ptp(points, axis=0)
    scaled = (points - points.min(axis=0)) / np.where(width > 0, width, 1.0)
    return [found[i] for i in sorted(pick(scaled, count))]


def _by_hand(found: Sequence[Record], numbers: Sequence[int]) -> list[Record]:
    by_number = {record.number: record for record in found}
    if strange := sorted(set(numbers) - by_number.keys()):
        raise DescriptionError(
            f"expected trials of the front, {', '.join(map(str, by_number))}, got "
            f"{', '.join(map(str, strange))}"
        )
    return [record for record in found if record.number in numbers]


def _kept(
    study: optuna.Study, found: Sequence[Record], within: Mapping[str, float]
) -> list[Record]:
    names = objective_names(study)
    if unknown := sorted(within.keys() - set(names)):
        raise DescriptionError(
            f"expected caps on objectives among {', '.join(names)}, got {', '.join(unknown)}"
        )
    signs = {
        name: 1 if direction == optuna.study.StudyDirection.MINIMIZE else -1
        for name, direction in zip(names, study.directions, strict=True)
    }
    return [
        record
        for record in found
        if all(signs[n] * record.values[n] <= signs[n] * cap for n, cap in within.items())
    ]
