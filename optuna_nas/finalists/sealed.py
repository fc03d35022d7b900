"""The test split: used once for each finalist, at the end, and the study says when.

Uses are in the user attribute `test_use` of the search's study, a list: `digest`, `finalist`,
`trainings` (seed -> identity), `opened` and `closed` (ISO 8601, UTC), `values` (seed -> objective
-> value; absent where the use was interrupted), `reason` (why the seal was broken, or empty).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import optuna

from optuna_nas.exceptions import SealedError
from optuna_nas.finalists.evaluation import evaluate
from optuna_nas.finalists.retrained import Retrained
from optuna_nas.locks import host_lock

__all__ = ["TEST_USE", "Values", "sealed_test", "tested", "uses"]

TEST_USE = "test_use"
WAIT_SECONDS = 3600.0

Values = Mapping[int, Mapping[str, float]]
"""Seed -> objective -> value on the test split."""


def sealed_test(study: optuna.Study, retrained: Retrained, reason: str = "") -> Values:
    """Use the test split for a finalist, or say again what it came to.

    Args:
        study: Study of the search, which keeps the record.
        retrained: The finalist, trained with every seed.
        reason: Why a test that was used for this network may be used again.

    Returns:
        Its values by seed; those in storage where the same trainings were tested before.

    Raises:
        SealedError: Other trainings of the network were tested, and there is no reason.
        DataError: The data has no test split.
    """
    with host_lock(f"test-{crc32(study.study_name.encode()):x}", WAIT_SECONDS):
        stored = tested(study, retrained)
        if stored and not reason:
            return stored
        own = {"digest": retrained.digest, "finalist": retrained.finalist.name}
        used = [use for use in uses(study) if own.items() <= use.items()]
        closed = [use for use in used if "values" in use]  # an interrupted use showed nothing
        if closed and not reason:
            raise SealedError(
                f"expected a network whose test is sealed, got {retrained.finalist.name}, which "
                f"was tested on {closed[0]['opened']} as trained then; training it anew and "
                "testing again would choose by the test: give a reason (--unseal REASON), which "
                "is kept"
            )
        use = {
            **own,
            "trainings": retrained.trainings,
            "opened": _now(),
            "reason": reason,
        }
        _append(study, use)
        values = {seed: evaluate(retrained, seed) for seed in retrained.trained}
        done = use | {"closed": _now(), "values": {str(s): v for s, v in values.items()}}
        known = uses(study)  # another host may have added a use of its own meanwhile
        place = len(known) - 1 - known[::-1].index(use)
        study.set_user_attr(TEST_USE, [*known[:place], done, *known[place + 1 :]])
        return values


def tested(study: optuna.Study, retrained: Retrained) -> Values:
    """What these very trainings came to on the test split; empty before it was used for them."""
    trainings = retrained.trainings
    for use in reversed(uses(study)):
        if use["trainings"] == trainings and "values" in use:
            return {int(seed): values for seed, values in use["values"].items()}
    return {}


def uses(study: optuna.Study) -> list[dict[str, Any]]:
    """Every use of the test split, in their order."""
    found: list[dict[str, Any]] = study.user_attrs.get(TEST_USE, [])
    return found


def _append(study: optuna.Study, use: Mapping[str, Any]) -> None:
    study.set_user_attr(TEST_USE, [*uses(study), dict(use)])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
