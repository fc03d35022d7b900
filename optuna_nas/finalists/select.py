"""Choosing a few networks that stand for a whole front."""

from __future__ import annotations

import numpy as np
import optuna

from optuna_nas import pareto
from optuna_nas.exceptions import DescriptionError
from optuna_nas.reporting import front
from optuna_nas.study.record import Record

__all__ = ["select"]


def select(study: optuna.Study, count: int) -> list[Record]:
    """Choose networks spread along the front, best in the first objective first.

    The first one is the best in the first objective; each further one is the farthest from those
    chosen before it, with every objective scaled to the front.

    Args:
        study: A study with complete trials.
        count: How many at most; a smaller front is taken whole.

    Raises:
        DescriptionError: `count` is below 1.

    Source: farthest-point clustering, Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5.
    """
    if count < 1:
        raise DescriptionError(f"expected at least 1 finalist, got {count}")
    found = front(study)
    if len(found) <= count:
        return found
    points = pareto.losses([[*record.values.values()] for record in found], study.directions)
    width = np.ptp(points, axis=0)
    scaled = points / np.where(width > 0, width, 1.0)
    chosen = [0]
    while len(chosen) < count:
        distances = np.linalg.norm(scaled[:, None] - scaled[chosen], axis=2).min(axis=1)
        chosen.append(int(distances.argmax()))
    return [found[i] for i in sorted(chosen)]
