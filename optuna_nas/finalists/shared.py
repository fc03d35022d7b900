"""What finalists have of a one-shot study: its weights, and how well these order networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.exceptions import StorageInternalError
from scipy.stats import kendalltau, spearmanr

from optuna_nas.exceptions import StudyError
from optuna_nas.reporting.inheritance import Correlation
from optuna_nas.study import Search
from optuna_nas.study.bucket import place_of
from optuna_nas.study.record import SUPERNET

__all__ = ["FEWEST", "expect_supernet", "rank_correlations", "weights_file"]

FEWEST = 5
"""Networks for a rank correlation."""


def expect_supernet(study: optuna.Study) -> None:
    """See to it that the networks of a study inherit their weights.

    Raises:
        StudyError: They do not.
    """
    if SUPERNET not in study.user_attrs:
        raise StudyError(
            f"expected study {study.study_name!r} to have inherited weights, got one without; "
            "give a search with estimator=supernet.OneShot() and the study that it ran"
        )


def weights_file(search: Search, study: optuna.Study) -> Path:
    """The file with the weights of a study's supernet.

    Args:
        search: The search.
        study: Its study.

    Raises:
        StudyError: The study has no supernet, or the file is gone, or cannot be read now.
    """
    expect_supernet(study)
    name = study.user_attrs[SUPERNET]["file"]
    place = place_of(search.checkpoints, study.study_name, study._storage)
    try:
        file = None if name is None or place is None else place.fetch(name)
    except StorageInternalError as error:
        raise StudyError(f"{error}; try again when it can be read") from error
    if file is None:
        raise StudyError(
            f"expected the weights of the supernet of study {study.study_name!r} in {place}, got "
            "no such file; run the search with checkpoints, and leave its folder where it is"
        )
    return file


def rank_correlations(
    before: Mapping[str, Mapping[str, float]], name: str, after: Mapping[str, Mapping[str, float]]
) -> list[Correlation]:
    """How networks are ordered by inherited weights, and trained; none under `FEWEST` networks.

    Args:
        before: Digest -> objective -> value with inherited weights.
        name: Of what trained them.
        after: Digest -> objective -> value after training.
    """
    both = [(before[digest], values) for digest, values in after.items()]
    found = []
    for objective in dict.fromkeys(o for one, other in both for o in one if o in other):
        pairs = [(one[objective], other[objective]) for one, other in both]
        inherited, learned = zip(*pairs, strict=True)
        if len(pairs) >= FEWEST and len(set(inherited)) > 1 and len(set(learned)) > 1:
            rho = float(spearmanr(inherited, learned).statistic)
            tau = float(kendalltau(inherited, learned).statistic)
            found.append(Correlation(objective, name, len(pairs), rho, tau))
    return found
