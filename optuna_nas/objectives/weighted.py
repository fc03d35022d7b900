"""Several quantities as one number, for a search with a single objective."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.objectives.candidate import Candidate
from optuna_nas.objectives.metric import Metric
from optuna_nas.objectives.objective import STAGES, Measurement, Objective
from optuna_nas.objectives.registry import NAMES, resolve

__all__ = ["Weighted"]

Terms = Mapping[Objective | str, float] | Sequence[tuple[Objective | str, float]]


class _Term(NamedTuple):
    part: Objective
    weight: float
    logarithmic: bool

    def __str__(self) -> str:
        name = f"log({self.part.name})" if self.logarithmic else self.part.name
        return f"{self.weight:+g} {name}"

    def value(self, measured: float) -> float:
        if not self.logarithmic:
            return self.weight * measured
        if measured <= 0:
            raise MeasurementError(
                f"expected {self.part.name} above 0 for its logarithm, got {measured:g}; "
                f"weigh it by Weighted(linear={{{self.part.name!r}: ...}}) instead"
            )
        return self.weight * math.log(measured)

    def slope(self, measured: float) -> float:
        return self.weight / measured if self.logarithmic else self.weight


@dataclass(frozen=True, kw_only=True)
class Weighted(Objective):
    """Several objectives as one: the sum of their weighted values and weighted logarithms.

    `Weighted(linear={"accuracy": 1}, log={"parameters": -0.02, Latency(threads=2): -0.05})` is to
    be maximised. What it is made of is measured and recorded as if it were asked for itself, caps
    too. While a network trains, the value follows those that it logs; a part that is measured
    only after training is left out until then.

    Args:
        linear: Objective, or its name -> weight of its value, per unit of that; or pairs of both.
        log: Objective, or its name -> weight of the natural logarithm of its value.
        direction: By default what all terms agree on: more of a part that is to be maximised, or
            less of one that is to be minimised, is better.

    Raises:
        DescriptionError: No terms, an unknown objective, a weight of 0, two different quantities
            of one name, or terms that do not agree on a direction.
    """

    name: str = "weighted"
    unit: str = ""
    direction: Any = None
    linear: Terms = ()
    log: Terms = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "linear", _pairs(self.linear))
        object.__setattr__(self, "log", _pairs(self.log))
        if not self._terms:
            raise DescriptionError(
                "expected at least one term, got none; give Weighted(linear={...}, log={...})"
            )
        stage = max((part.stage for part in self.parts), key=STAGES.index)
        object.__setattr__(self, "stage", stage)
        object.__setattr__(self, "on_device", any(part.on_device for part in self.parts))
        object.__setattr__(self, "direction", self._direction())
        super().__post_init__()

    @cached_property
    def parts(self) -> tuple[Objective, ...]:
        """The objectives that it is made of, each once."""
        parts: dict[str, Objective] = {}
        for term in self._terms:
            if parts.setdefault(term.part.name, term.part) != term.part:
                raise DescriptionError(
                    f"expected one quantity named {term.part.name!r}, got two that differ; "
                    "give one of them another name"
                )
        return tuple(parts.values())

    @property
    def formula(self) -> str:
        """The sum, such as `+1 accuracy -0.02 log(parameters)`."""
        return " ".join(map(str, self._terms))

    def check(self) -> None:
        """Raise a MeasurementError where a part cannot be measured here."""
        for part in self.parts:
            part.check()

    def __call__(self, candidate: Candidate) -> Measurement:
        known = candidate.measured
        return self.combined({p.name: known.get(p.name) or p(candidate) for p in self.parts})

    def combined(self, found: Mapping[str, Measurement]) -> Measurement:
        """The sum by the measurement of each part, by name."""
        value = self.of({name: measurement.value for name, measurement in found.items()})
        spreads = [
            self._slope(name, measurement.value) * measurement.spread
            for name, measurement in found.items()
            if measurement.spread is not None
        ]
        details = {"formula": self.formula, "parts": [part.name for part in self.parts]}
        return Measurement(value, math.hypot(*spreads) if spreads else None, details)

    def of(self, values: Mapping[str, float]) -> float:
        """The sum of those terms of which the part's value is given.

        Raises:
            MeasurementError: The logarithm of a value that is not above 0.
        """
        known = (term for term in self._terms if term.part.name in values)
        return math.fsum(term.value(values[term.part.name]) for term in known)

    def while_training(self, logged: Mapping[str, Any], known: Mapping[str, float]) -> float:
        """The sum by what a training has logged so far.

        Args:
            logged: Metric -> its value, as the LightningModule logs it.
            known: Part -> its value, for those measured before training.

        Raises:
            TrainingError: A part was not logged.
        """
        metrics = [part for part in self.parts if isinstance(part, Metric)]
        return self.of({**known, **{part.name: part.logged(logged) for part in metrics}})

    def _slope(self, name: str, measured: float) -> float:
        return sum(term.slope(measured) for term in self._terms if term.part.name == name)

    @cached_property
    def _terms(self) -> tuple[_Term, ...]:
        return (*_resolved(self.linear, False), *_resolved(self.log, True))

    def _direction(self) -> Any:
        wishes = {
            "maximize" if (term.weight > 0) == (term.part.direction == "maximize") else "minimize"
            for term in self._terms
        }
        if self.direction is None and len(wishes) > 1:
            raise DescriptionError(
                f"expected terms that agree on a direction, got {self.formula}, in which "
                f"{', '.join(f'{part.name} is to {part.direction}' for part in self.parts)}; "
                "change a sign, or say Weighted(direction=...)"
            )
        if self.direction in ("maximize", "minimize") and self.direction not in wishes:
            raise DescriptionError(
                f"expected direction={next(iter(wishes))!r} for {self.formula}, got "
                f"{self.direction!r}, by which every part would get worse"
            )
        return next(iter(wishes)) if self.direction is None else self.direction


def _pairs(terms: Any) -> tuple[tuple[Objective | str, float], ...]:
    """Pairs of objective and weight; an objective as its name alone would give it is its name."""
    items = terms.items() if isinstance(terms, Mapping) else terms
    try:
        pairs = [(objective, weight) for objective, weight in items]
    except (TypeError, ValueError):
        raise DescriptionError(
            f"expected terms such as {{'accuracy': 1.0}}, got {terms!r}"
        ) from None
    return tuple((_short(objective), _weight(objective, weight)) for objective, weight in pairs)


def _short(objective: Any) -> Objective | str:
    found = resolve(objective)
    if isinstance(found, Weighted):
        raise DescriptionError("expected objectives that are measured, got a Weighted in another")
    make = NAMES.get(found.name)
    return found.name if make is not None and found == make() else found


def _weight(objective: Objective | str, weight: Any) -> float:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or weight == 0:
        name = objective if isinstance(objective, str) else objective.name
        raise DescriptionError(f"expected a weight other than 0 for {name}, got {weight!r}")
    return float(weight)


def _resolved(pairs: Terms, logarithmic: bool) -> Iterator[_Term]:
    for objective, weight in pairs.items() if isinstance(pairs, Mapping) else pairs:
        yield _Term(resolve(objective), weight, logarithmic)
