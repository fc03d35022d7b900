"""What share of a space keeps the caps, seen on untrained networks before a search begins."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import BaseTrial, FixedTrial

from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.objectives import STAGES, Candidate, Objective
from optuna_nas.spaces.draws import random_trials
from optuna_nas.study.training import seeded, seeded_setup

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["Feasibility", "Quantity", "caps", "look"]

SECONDS = 10.0
"""For drawing, building and counting; and again for what is measured on the device."""
MEASURED = 16
"""Networks measured on the device, and at least counted however long it takes."""
MIDDLE_OUT = (8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15, 0)
"""The order of as many sizes in which the first few already stand for all."""
FEWEST = 4
"""Networks measured on the device at least, however long it takes."""
SMALL = 0.02
"""A share of the space below which a search is warned that it will mostly reject."""

Calibrations = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Quantity:
    """What was seen of one quantity on untrained networks.

    Args:
        name: Its name.
        unit: Its unit.
        samples: Networks on which it was seen.
        range: Minimum, lower quartile, median, upper quartile and maximum, in the unit.
        max: Its cap.
        min: Its floor.
        share: Share of these networks that keep cap and floor; None where it has neither.
        nearest: Where no network keeps all caps: the value at which the nearest one breaks this.
    """

    name: str
    unit: str
    samples: int
    range: tuple[float, ...]
    max: float | None
    min: float | None
    share: float | None
    nearest: float | None = None


@dataclass(frozen=True)
class Feasibility:
    """What share of a space keeps the caps of a search.

    Args:
        samples: Networks drawn at random.
        failed: How many of them could not be built or measured; these keep no cap.
        failure: The error of the last of these.
        share: Share of the space that keeps all caps together: the share that keeps those which
            are counted, times the share of these that keep those which are measured.
        reachable: Whether any network was seen that keeps all caps.
        quantities: Every quantity that is counted, on all samples, and every capped one that is
            measured on the device, on a few that keep the other caps, spread over their sizes.
        warning: What to do about a small share; empty where there is nothing to do.
    """

    samples: int
    failed: int
    failure: str
    share: float
    reachable: bool
    quantities: tuple[Quantity, ...]
    warning: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values, as a study keeps it."""
        return asdict(self)


def caps(search: Search) -> list[Objective]:
    """The capped quantities of a search that are known before training."""
    return [o for o in search.measured if _capped(o) and o.stage != STAGES[-1]]


def look(search: Search, samples: int, calibrations: Calibrations | None = None) -> Feasibility:
    """Draw untrained networks at random, and see which of them keep the caps.

    The samples have a sampler of their own and never touch the study. Ten seconds end the
    drawing, once some networks keep the caps; the report says how many were seen.

    Args:
        search: The search.
        samples: Networks to draw.
        calibrations: What the objectives' `calibrate` returned; found here where it is needed.

    Raises:
        DescriptionError: `samples` is below 1.
    """
    if samples < 1:
        raise DescriptionError(f"expected at least 1 sample of the space, got {samples}")
    known = [o for o in search.measured if o.stage != STAGES[-1]]
    counted = [o for o in known if not o.on_device]
    timed = [o for o in known if o.on_device and _capped(o)]
    seen = _count(search, counted, samples)
    kept = [sample for sample in seen if sample.keeps(counted)]
    few = _measure(search, timed, kept, calibrations) if timed and kept else []
    share = len(kept) / len(seen)
    if few:
        share *= sum(sample.keeps(timed) for sample in few) / len(few)
    works = any(not sample.failure for sample in few or seen)
    found = [_quantity(o, seen) for o in counted] + [_quantity(o, few) for o in timed]
    report = Feasibility(
        samples=len(seen),
        failed=sum(bool(sample.failure) for sample in seen),
        failure=next((sample.failure for sample in reversed(seen) if sample.failure), ""),
        share=share,
        reachable=not works or any(sample.keeps([*counted, *timed]) for sample in seen),
        quantities=tuple(quantity for quantity in found if quantity is not None),
    )
    if not works:
        said = f"nothing that was tried works, so only the search will tell: {report.failure}"
        return replace(report, warning=said)
    return _judged(report, seen, [o for o in (*counted, *timed) if _capped(o)])


@dataclass
class _Sample:
    """A network drawn at random, and what is known of it."""

    params: dict[str, Any] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    failure: str = ""

    def keeps(self, objectives: Sequence[Objective]) -> bool:
        known = not self.failure and all(o.name in self.values for o in objectives)
        return known and self.excess(objectives) <= 0

    def excess(self, objectives: Sequence[Objective]) -> float:
        """By how much it breaks the worst broken cap, relative to the cap."""
        shown = [o for o in objectives if o.name in self.values]
        return max((o.violation(self.values[o.name]) or 0.0 for o in shown), default=0.0)


def _count(search: Search, counted: Sequence[Objective], samples: int) -> list[_Sample]:
    """Draw networks and take what can be counted; on all of them while none keeps the caps."""
    seen: list[_Sample] = []
    kept, ends = 0, time.monotonic() + SECONDS
    trials = random_trials(search.seed)
    while len(seen) < samples and (time.monotonic() < ends or len(seen) < MEASURED or not kept):
        sample = _see(search, next(trials), counted, {})
        kept += sample.keeps(counted)
        seen.append(sample)
    return seen


def _measure(
    search: Search,
    timed: Sequence[Objective],
    kept: Sequence[_Sample],
    calibrations: Calibrations | None,
) -> list[_Sample]:
    """Measure a few networks spread over the sizes; where none keeps the caps, small ones too.

    Returns:
        Those that are spread, which stand for the space.
    """
    if calibrations is None:
        calibrations = {o.name: o.calibrate() or {} for o in timed}

    def measure(sample: _Sample) -> bool:
        again = _see(search, FixedTrial(sample.params), timed, calibrations)
        sample.values |= again.values
        sample.failure = again.failure
        return sample.keeps(timed)

    ends = time.monotonic() + SECONDS
    by_size = sorted(kept, key=lambda sample: sample.values.get("parameters", 0.0))
    middles = ((2 * place + 1) * len(by_size) // (2 * MEASURED) for place in MIDDLE_OUT)
    few: list[_Sample] = []
    for place in dict.fromkeys(middles):
        if len(few) >= FEWEST and time.monotonic() > ends:
            break
        measure(by_size[place])
        few.append(by_size[place])
    if not any(sample.keeps(timed) for sample in few):
        rest = (s for s in by_size[: 2 * MEASURED] if not any(s is other for other in few))
        any(measure(sample) for _, sample in zip(range(MEASURED), rest, strict=False))
    return few


def _see(
    search: Search, trial: BaseTrial, wanted: Sequence[Objective], calibrations: Calibrations
) -> _Sample:
    """Draw a network and take some quantities of it; what goes wrong is noted."""
    sample = _Sample()
    try:
        drawn = seeded(search.space, search.seed, trial)
        candidate = Candidate(
            drawn,
            search.input_shape,
            search.outputs,
            seed=search.seed,
            data=search.data,
            calibrations=calibrations,
        )
        with seeded_setup(search.data, search.seed):
            for objective in wanted:
                measurement = candidate.measured[objective.name] = objective(candidate)
                value = float(measurement.value)
                if np.isnan(value):
                    raise MeasurementError(f"expected a number for {objective.name}, got NaN")
                sample.values[objective.name] = value
    except Exception as error:  # whatever a space or an objective of the user's raises
        sample.failure = f"{type(error).__name__}: {error}"
    sample.params = trial.params
    return sample


def _quantity(objective: Objective, seen: Sequence[_Sample]) -> Quantity | None:
    values = [s.values[objective.name] for s in seen if objective.name in s.values]
    if not values:
        return None
    within = [(objective.violation(value) or 0.0) <= 0 for value in values]
    return Quantity(
        name=objective.name,
        unit=objective.unit,
        samples=len(values),
        range=tuple(np.percentile(values, (0, 25, 50, 75, 100), method="nearest").tolist()),
        max=objective.max,
        min=objective.min,
        share=sum(within) / len(within) if _capped(objective) else None,
    )


def _judged(
    report: Feasibility, seen: Sequence[_Sample], capped: Sequence[Objective]
) -> Feasibility:
    """The report with what it means: nothing, a warning, or what would be reachable."""
    wanted = ", ".join(map(_bounds, capped))
    if report.reachable:
        if report.share >= SMALL:
            return report
        warning = (
            f"about {100 * report.share:.2g} % of the space keeps the caps ({wanted}), so most "
            "trials will be rejected untrained; loosen a cap, or narrow the space"
        )
        return replace(report, warning=warning)
    built = [sample for sample in seen if not sample.failure]
    most = max(len(sample.values) for sample in built)
    known = [sample for sample in built if len(sample.values) == most]
    nearest = min(known, key=lambda sample: sample.excess(capped))
    broken = {o.name: nearest.values[o.name] for o in capped if nearest.excess([o]) > 0}
    has = ", ".join(f"{o.name} {_loose(o, broken[o.name])}" for o in capped if o.name in broken)
    warning = (
        f"expected a space in which some network keeps the caps ({wanted}), got none in "
        f"{report.samples} samples; the nearest has {has}: loosen the cap to that, or widen the "
        "space; Search(samples=...) looks at more networks, and samples=0 at none"
    )
    quantities = tuple(replace(q, nearest=broken.get(q.name)) for q in report.quantities)
    return replace(report, quantities=quantities, warning=warning)


def _capped(objective: Objective) -> bool:
    return objective.max is not None or objective.min is not None


def _bounds(objective: Objective) -> str:
    bounds = (("at most", objective.max), ("at least", objective.min))
    said = " and ".join(f"{word} {_number(b)}" for word, b in bounds if b is not None)
    return f"{objective.name} {said} {objective.unit}".rstrip()


def _loose(objective: Objective, value: float) -> str:
    """A value that breaks a cap, or a floor, rounded so that a cap there lets it pass."""
    over = objective.max is not None and value > objective.max
    return _number(value, ROUND_CEILING if over else ROUND_FLOOR)


def _number(value: float, rounding: str = ROUND_HALF_EVEN) -> str:
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{Context(prec=4, rounding=rounding).create_decimal(str(float(value))).normalize():f}"
