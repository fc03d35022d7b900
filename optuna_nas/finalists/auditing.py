"""Every decision that led to a search's finalists, from storage alone, and whether it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import optuna

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import SpaceError
from optuna_nas.finalists.sealed import uses
from optuna_nas.reporting.front import front, totals
from optuna_nas.study.description import digest
from optuna_nas.study.record import records

__all__ = ["audit"]


def audit(study: optuna.Study) -> dict[str, Any]:
    """Seeds, versions, candidates' digests, uses of the test, and digests that do not hold.

    Args:
        study: Study of a search.

    Returns:
        JSON values: `study`, `search` (digest of its description), `seed`, `device`, `versions`
        (every set of versions, with its trials), `trials` by outcome, `epochs`, `candidates`
        (trial, digest, seed, outcome), `front`, `finalists`, `test_use`, and `wrong`: a sentence
        for each digest that does not belong to the architecture beside it, or for each finalist
        that is on no trial. Empty means that all of them hold.
    """
    spent, attrs = totals(study), study.user_attrs
    trials = study.get_trials(deepcopy=False)
    return {
        "study": study.study_name,
        "search": digest(attrs.get("search")),
        "seed": (attrs.get("search") or {}).get("seed"),
        "device": attrs.get("device"),
        "versions": _versions(trials),
        "trials": dict(spent.counts),
        "epochs": spent.epochs,
        "candidates": [
            {
                "trial": record.number,
                "digest": record.digest,
                "seed": _provenance(trial).get("seed"),
                "outcome": record.outcome,
                "ended": record.ended,
            }
            for record, trial in zip(records(study), trials, strict=True)
        ],
        "front": [record.number for record in front(study)],
        "finalists": [
            {key: final[key] for key in ("name", "role", "digest", "folder", "cost")}
            for final in attrs.get("finalists", [])
        ],
        "test_use": uses(study),
        "wrong": list(_wrong(study)),
    }


def _versions(trials: list[optuna.trial.FrozenTrial]) -> list[dict[str, Any]]:
    found: dict[str, int] = {}
    for trial in trials:
        if versions := _provenance(trial).get("versions"):
            text = json.dumps(versions, sort_keys=True)
            found[text] = found.get(text, 0) + 1
    return [{"versions": json.loads(text), "trials": count} for text, count in found.items()]


def _provenance(trial: optuna.trial.FrozenTrial) -> Mapping[str, Any]:
    found = trial.user_attrs.get("provenance")
    return found if isinstance(found, Mapping) else {}


def _wrong(study: optuna.Study) -> Iterator[str]:
    known = set()
    for record in records(study):
        known.add(record.digest)
        if record.architecture is None:
            continue
        try:
            found = Architecture.from_json(json.dumps(record.architecture)).digest
        except SpaceError as error:
            yield f"trial {record.number} has no architecture that can be read: {error}"
            continue
        if found != record.digest:
            yield (
                f"trial {record.number} says digest {record.digest[:12]}, but its architecture "
                f"has {found[:12]}"
            )
    for final in study.user_attrs.get("finalists", []):
        if final["role"] == "front" and final["digest"] and final["digest"] not in known:
            yield f"{final['name']} has digest {final['digest'][:12]}, which no trial has"
    tested = {final["digest"] for final in study.user_attrs.get("finalists", [])}
    for use in uses(study):
        if use["reason"]:
            when, why = use["opened"], use["reason"]
            yield f"the test of {use['finalist']} was used again on {when}: {why}"
        elif tested and use["digest"] not in tested:
            yield f"the test was used for {use['finalist']}, which is no finalist any more"
