"""What a trial leaves in storage, read back: JSON attributes, readable without this package.

User attributes of a trial:

| key | value |
|---|---|
| `network` | the architecture in one readable line |
| `architecture` | the graph (see `Architecture.to_json`); absent where a space returned a module |
| `digest` | identifies the network |
| `hyperparameters` | of the training, by name; absent where the space draws none |
| `estimator` | where weights are inherited: its `name`, and which `weights` (their SHA-256) |
| `training` | identifies the training: network, recipe, data, budget |
| `provenance` | `seed`, `device` (fingerprint), `versions` (of the libraries) |
| `measurements` | name -> `value`, `unit`, `spread` and how it was measured |
| `spent` | `epochs` trained by this trial itself, `seconds` from start to end, of which \
`measuring` on the device, and `joules` of its training by the counter of the whole device, where \
there is one |
| `resumed` | where it continues another: `epochs` of the checkpoint, or 0 and the `reason` |
| `outcome`, `ended` | one word of `OUTCOMES`, and a sentence saying why the trial ended |
| `reused_from` | number of the trial whose training was used again |
| `continues` | number of the trial that this one takes up again |
| `redrawn` | that the search drew the network, since the sampler repeated itself |

The learning curve is in the system attributes `nas:step:<n>` (several objectives, in their order)
or in Optuna's intermediate values (one objective).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pruners.curve import bare, curve

if TYPE_CHECKING:
    from optuna_nas.objectives import Measurement, Objective

__all__ = [
    "INHERITED",
    "OUTCOMES",
    "SUPERNET",
    "Record",
    "noted",
    "objective_names",
    "objective_units",
    "read",
    "records",
]

SUPERNET = "supernet"
"""User attribute of a study whose trials inherit weights: what those are, and what they cost."""

OUTCOMES = (
    "trained",  # to the end of its budget
    "scored",  # with inherited weights, and not trained
    "pruned",  # at a rung
    "rejected",  # over a cap, and so before any training wherever that is possible
    "reused",  # an equal training was found in storage
    "failed",  # an error inside the trial
    "interrupted",  # by the user
    "lost",  # its process died
    "running",
    "waiting",
)


INHERITED = "inherited"
"""What a measurement's `weights` are where nothing was trained on from those of a supernet."""


@dataclass(frozen=True)
class Record:
    """One trial as the reports see it.

    Args:
        number: Trial number.
        outcome: One word of `OUTCOMES`.
        ended: Why it ended, in a sentence; empty while it runs.
        values: Final objective values by name; empty unless the trial is complete.
        measurements: Name -> `{"value", "unit", "spread", ...}` of everything measured.
        network: The architecture in one line.
        digest: Identity of the network.
        hyperparameters: Those of its training that the space drew, by name.
        architecture: The graph as parsed JSON, or None.
        epochs: Epochs trained by this trial itself.
        resumed_at: Epochs of the checkpoint that it went on from; 0 where there was none.
        seconds: Seconds from its start to its end.
        joules: What the device took while it trained, J; None where nothing counts that.
        curve: Step -> objective values by name, as reported.
        reused_from: Trial whose training was used again.
        continues: Trial that this one takes up again.
        superseded: Whether a later trial continues this one, so that it no longer counts.
        finished: Whether it has ended, in whatever way.
        feasible: Whether it keeps every constraint that was set.
        inherited: Whether its values are those of inherited weights, which no training followed.
    """

    number: int
    outcome: str
    ended: str
    values: Mapping[str, float]
    measurements: Mapping[str, Mapping[str, Any]]
    network: str
    digest: str
    hyperparameters: Mapping[str, Any]
    architecture: Mapping[str, Any] | None
    epochs: int
    resumed_at: int
    seconds: float
    joules: float | None
    curve: Mapping[int, Mapping[str, float]]
    reused_from: int | None
    continues: int | None
    superseded: bool
    finished: bool
    feasible: bool
    inherited: bool

    @property
    def parameters(self) -> int | None:
        """Number of weights, where it was measured."""
        measured = self.measurements.get("parameters")
        return None if measured is None else int(measured["value"])

    @property
    def recipe(self) -> str:
        """The drawn hyperparameters in one line, such as `learning_rate=0.00312 flip=True`."""
        return " ".join(f"{name}={_rounded(v)}" for name, v in self.hyperparameters.items())

    @property
    def line(self) -> str:
        """The network, and the recipe where one was drawn, in one line."""
        return " | ".join(filter(None, (self.network, self.recipe)))

    def spread(self, name: str) -> float | None:
        """Interquartile range of a measurement, in its unit; None where there is none."""
        value = self.measurements.get(name, {}).get("spread")
        return None if value is None else float(value)


def noted(objective: Objective, measurement: Measurement) -> dict[str, Any]:
    """A measurement as a trial leaves it."""
    return {
        "value": float(measurement.value),
        "unit": objective.unit,
        "spread": measurement.spread,
        **measurement.details,
    }


def objective_names(study: optuna.Study) -> list[str]:
    """Names of the objectives, without their units, in order."""
    names = study.metric_names or [f"objective {i}" for i in range(len(study.directions))]
    short = [bare(name) for name in names]
    return short if len(set(short)) == len(short) else list(names)


def objective_units(study: optuna.Study) -> list[str]:
    """Units of the objectives in order; empty where a metric name carries none."""
    names = study.metric_names or [""] * len(study.directions)
    return [name.partition(" (")[2].removesuffix(")") for name in names]


def records(study: optuna.Study) -> list[Record]:
    """Every trial of a study, by number."""
    trials = study.get_trials(deepcopy=False)
    names = objective_names(study)
    superseded = {_earlier(trial, "continues") for trial in trials}
    return [read(trial, names, trial.number in superseded) for trial in trials]


def read(trial: FrozenTrial, names: Sequence[str], superseded: bool = False) -> Record:
    """One trial of a study whose objectives have these names.

    An attribute of another kind than this package leaves is one of the user's own, and not read.
    """
    values = trial.values if trial.state == TrialState.COMPLETE else []
    spent = _mapping(trial, "spent")
    learned = {
        step: dict(zip(names, vector, strict=True))
        for step, vector in curve(trial, len(names)).items()
    }
    return Record(
        number=trial.number,
        outcome=_text(trial, "outcome") or _outcome(trial.state),
        ended=_text(trial, "ended"),
        values=dict(zip(names, values, strict=False)),
        measurements={n: m for n, m in _mapping(trial, "measurements").items() if _measured(m)},
        network=_text(trial, "network"),
        digest=_text(trial, "digest"),
        hyperparameters=_mapping(trial, "hyperparameters"),
        architecture=_mapping(trial, "architecture") or None,
        epochs=int(_number(spent, "epochs", len(learned))),
        resumed_at=int(_number(_mapping(trial, "resumed"), "epochs", 0)),
        seconds=float(_number(spent, "seconds", 0.0)),
        joules=_number(spent, "joules", None),
        curve=learned,
        reused_from=_earlier(trial, "reused_from"),
        continues=_earlier(trial, "continues"),
        superseded=superseded,
        finished=trial.state.is_finished(),
        feasible=all(value <= 0 for value in trial.constraints.values()),
        inherited=_mapping(trial, "estimator").get("name") == "one-shot",
    )


def _text(trial: FrozenTrial, key: str) -> str:
    text = trial.user_attrs.get(key)
    return text if isinstance(text, str) else ""


def _mapping(trial: FrozenTrial, key: str) -> Mapping[str, Any]:
    found = trial.user_attrs.get(key)
    return found if isinstance(found, Mapping) else {}


def _number(found: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    value = found.get(key)
    return value if isinstance(value, int | float) else otherwise


def _measured(found: Any) -> bool:
    return isinstance(found, Mapping) and isinstance(found.get("value"), int | float)


def _earlier(trial: FrozenTrial, key: str) -> int | None:
    number = trial.user_attrs.get(key)
    return number if isinstance(number, int) and 0 <= number < trial.number else None


def _rounded(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _outcome(state: TrialState) -> str:
    return {
        TrialState.COMPLETE: "trained",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
        TrialState.WAITING: "waiting",
    }[state]
