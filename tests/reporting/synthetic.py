"""Studies as a search leaves them in storage, made without a search."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from optuna_nas.architecture import Architecture

NAMES = ("accuracy (fraction)", "latency (ms)")
DIRECTIONS = ("maximize", "minimize")
STATES = dict.fromkeys(("trained", "scored", "reused"), TrialState.COMPLETE)
STATES |= {"pruned": TrialState.PRUNED, "rejected": TrialState.PRUNED}
BUDGET = 9


def make_study(
    name: str = "synthetic",
    names: Sequence[str] | None = NAMES,
    directions: Sequence[str] = DIRECTIONS,
    storage: str | None = None,
) -> optuna.Study:
    study = optuna.create_study(study_name=name, directions=list(directions), storage=storage)
    if names is not None:
        study.set_metric_names(list(names))
    return study


def make_trial(
    values: Sequence[float] | None = None,
    outcome: str = "trained",
    *,
    network: str = "conv_c32_k3_s2 > conv_c64_k5 > classify",
    digest: str | None = None,
    curve: Mapping[int, Sequence[float]] | None = None,
    measurements: Mapping[str, Any] | None = None,
    epochs: int = BUDGET,
    constraints: Mapping[str, float] | None = None,
    params: Mapping[str, int] | None = None,
    **attrs: Any,
) -> FrozenTrial:
    """A finished trial with the attributes that `optuna_nas.study.record` describes."""
    single = values is not None and len(values) == 1
    user_attrs = {
        "network": network,
        "digest": hashlib.sha256(network.encode()).hexdigest() if digest is None else digest,
        "architecture": {"format": 1, "nodes": [], "output": "head"},
        "training": "f" * 64,
        "provenance": {
            "seed": 1,
            "device": {"processor": "Testor 3000", "cores": 2, "accelerator": "none"},
            "versions": {"optuna": "5.0.0", "torch": "2.9.0"},
        },
        "measurements": measurements or {},
        "spent": {"epochs": epochs, "seconds": 0.5 * epochs},
        "outcome": outcome,
        "ended": attrs.pop("ended", f"{outcome} after {epochs} epochs"),
        **attrs,
    }
    learned = curve or {}
    return create_trial(
        state=STATES.get(outcome, TrialState.FAIL),
        values=list(values) if values is not None else None,
        user_attrs=user_attrs,
        system_attrs={} if single else {f"nas:step:{s}": list(v) for s, v in learned.items()},
        intermediate_values={s: v[0] for s, v in learned.items()} if single else None,
        constraints=dict(constraints or {}),
        params=dict(params or {"width": len(network)}),
        distributions=dict.fromkeys(params or {"width"}, IntDistribution(0, 1000)),
    )


def make_search(
    n_trials: int = 60, seed: int = 0, storage: str | None = None, epochs: int = BUDGET
) -> optuna.Study:
    """A study such as a pruned search of small convolutional networks leaves."""
    random_ = random.Random(seed)
    study = make_study("digits_cnn", storage=storage)
    study.add_trials([_drawn(random_, number, epochs) for number in range(n_trials)])
    return study


def _drawn(random_: random.Random, number: int, epochs: int) -> FrozenTrial:
    layers = [_layer(random_, place) for place in range(random_.randint(3, 5))]
    drawn = Architecture.chain([*layers, ("classify", "classify", {})])
    chosen = {f"{name}.{k}": int(v) for name, _, args in layers for k, v in args.items()}
    cost = random_.uniform(0, 1)
    latency, parameters = 0.08 * 40**cost, int(10 ** (3 + 2.5 * cost))
    best = 0.985 - 0.35 * math.exp(-4 * cost) - random_.random() ** 3 * 0.3
    curve = {
        e: (best - 0.6 * math.exp(-e / 1.5) - random_.uniform(0, 0.01), latency)
        for e in range(1, epochs + 1)
    }
    outcome = random_.choices(
        ("trained", "pruned", "rejected", "failed", "interrupted"), (6, 5, 1, 0.3, 0.1)
    )[0]
    reached = {"trained": epochs, "pruned": random_.choice((1, 3)), "rejected": 0}.get(outcome, 2)
    shown = {step: curve[step] for step in range(1, reached + 1)}
    return make_trial(
        curve[epochs] if outcome == "trained" else None,
        outcome,
        network=" > ".join(map(str, drawn.nodes)),
        architecture=json.loads(drawn.to_json()),
        params={"layers": len(layers), **chosen},
        curve=shown,
        epochs=reached,
        measurements={
            "parameters": {"value": parameters, "unit": "", "spread": None},
            "latency": {
                "value": latency,
                "unit": "ms",
                "spread": latency * random_.uniform(0.005, 0.04),
                "backend": "eager",
                "batch": 1,
                "threads": 1,
                "settled": random_.random() < 0.9,
            },
        }
        | ({"accuracy": {"value": curve[epochs][0], "unit": "fraction"}} if reached else {}),
        number_drawn=number,
    )


def _layer(random_: random.Random, place: int) -> tuple[str, str, dict[str, int | bool]]:
    stride, residual, squeeze = random_.choice(
        ((1, False, False), (2, False, False), (1, True, False), (2, False, True))
    )
    args = {
        "channels": random_.choice((8, 16, 32, 64)),
        "kernel": random_.choice((3, 5)),
        "stride": stride,
        "residual": residual,
        "squeeze": squeeze,
    }
    return f"block{place}", "conv", args


def study_of(trials: Sequence[FrozenTrial], **options: Any) -> optuna.Study:
    """A study with the given trials in it."""
    study = make_study(**options)
    study.add_trials(trials)
    return study
