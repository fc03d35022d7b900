"""Finalists of a search, from the front to a table: trained anew, compared, tested, exported."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from lightning.pytorch import LightningDataModule
from scipy.stats import spearmanr
from torch import nn

from optuna_nas.exceptions import DescriptionError, MeasurementError, NASError
from optuna_nas.finalists.card import register
from optuna_nas.finalists.comparison import baselines
from optuna_nas.finalists.derived import Further
from optuna_nas.finalists.evaluation import measure
from optuna_nas.finalists.finalist import DERIVED, Finalist, of_trial
from optuna_nas.finalists.forms import Form, export
from optuna_nas.finalists.retraining import Retrained, Retraining
from optuna_nas.finalists.sealed import Values, sealed_test
from optuna_nas.finalists.select import select
from optuna_nas.reporting import front, totals
from optuna_nas.study import Search
from optuna_nas.study.checkpoints import folder_of
from optuna_nas.study.record import Record
from optuna_nas.study.training import OnEpoch

__all__ = ["FINALS", "Final", "Finals", "choose_finalists", "run_finals"]

FINALS = "finalists"
"""User attribute of a search's study: what its finalists came to, as `Finals.as_json`."""
OURS = ("front", *DERIVED)
"""Roles of what the search has found, as opposed to baselines."""
LOW = 0.5
"""Rank correlation of search and retraining below which the search's ranks say little."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Final:
    """A finalist or baseline at the end.

    Args:
        retrained: It, and its trainings.
        tested: Its values on the test split, by seed; empty where there is none.
        forms: What it was exported as; empty for baselines.
        folder: Its folder; None for baselines.
        notes: What could not be done, and why.
    """

    retrained: Retrained
    tested: Values
    forms: Sequence[Form] = ()
    folder: Path | None = None
    notes: Sequence[str] = ()

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """`name, role, digest, values, test, cost, folder` and more, as JSON values.

        Args:
            names: The objectives.
        """
        retrained, finalist = self.retrained, self.retrained.finalist
        tested: dict[str, dict[int, float]] = {}
        for seed, values in self.tested.items():
            for name, value in values.items():
                tested.setdefault(name, {})[seed] = value
        records = retrained.trained.values()
        return {
            "name": finalist.name,
            "role": finalist.role,
            "digest": retrained.digest,
            "network": next((record.line for record in records), ""),
            "parameters": next((record.parameters for record in records), None),
            "searched": dict(finalist.searched),
            "values": {name: _summary(retrained.values(name)) for name in names}
            | {
                name: _once(retrained.measured[name])
                for name in names
                if name in retrained.measured
            },
            "test": {name: _summary(found) for name, found in tested.items()} or None,
            "cost": {
                "epochs": sum(record.epochs for record in records),
                "seconds": round(sum(record.seconds for record in records), 1),
            },
            "forms": [form.as_json() for form in self.forms],
            "trainings": retrained.trainings,
            "folder": None if self.folder is None else str(self.folder),
            "missing": {str(seed): why for seed, why in retrained.missing.items()},
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Finals:
    """All finalists and baselines of a search.

    Args:
        search: The search.
        finals: The finalists, best first, then the baselines.
        cost: What the search cost: trials, epochs, seconds.
    """

    search: Search
    finals: Sequence[Final]
    cost: Mapping[str, Any]

    @property
    def found(self) -> list[Final]:
        """Those of the front, and what was made of them."""
        return [f for f in self.finals if f.retrained.finalist.role in OURS]

    @property
    def others(self) -> list[Final]:
        """Those to compare with."""
        return [f for f in self.finals if f.retrained.finalist.role not in OURS]

    @property
    def correlation(self) -> float:
        """Spearman's correlation of search and retraining over the front; NaN below three.

        Of the objective that differs by training: the first such.
        """
        trained = [o.name for o in self.search.optimised if o.stage == "trained"]
        kept = [f.retrained for f in self.found if f.retrained.finalist.role == "front"]
        kept = [one for one in kept if one.trained]
        if not trained or len(kept) < 3:
            return math.nan
        searched = [one.finalist.searched[trained[0]] for one in kept]
        again = [one.mean(trained[0]) for one in kept]
        if len(set(searched)) == 1 or len(set(again)) == 1:
            return math.nan
        return float(spearmanr(searched, again).statistic)

    @property
    def verdict(self) -> str:
        """In a sentence, whether the search found better than the baselines."""
        lost = [f.retrained.finalist.name for f in self.others if self._beaten_by(f)]
        if lost:
            return (
                f"The search did not beat {', '.join(lost)}: as good as a finalist in every "
                "objective, and better in one."
            )
        won = [f.retrained.finalist.name for f in self.others if self._beats(f)]
        rest = len(self.others) - len(won)
        if not self.others:
            return "Nothing was compared with the finalists."
        elsewhere = f"; {rest} more are a trade-off" if rest else ""
        beaten = ", ".join(won) or "none of the baselines"
        return f"A finalist beats {beaten} in every objective{elsewhere}."

    @property
    def warnings(self) -> list[str]:
        """What makes the result doubtful."""
        found = [
            f"{final.retrained.finalist.name} is not trained with seed {seed}: {why}"
            for final in self.finals
            for seed, why in final.retrained.missing.items()
        ]
        if self.correlation < LOW:
            found.append(
                f"search and retraining order the finalists differently (Spearman "
                f"{self.correlation:.2f}): train longer in the search, or take more finalists"
            )
        return found

    def as_json(self) -> list[dict[str, Any]]:
        """Each final as JSON values."""
        names = [objective.name for objective in self.search.optimised]
        return [final.as_json(names) for final in self.finals]

    def _beats(self, other: Final) -> bool:
        return any(self._dominates(final, other) for final in self.found)

    def _beaten_by(self, other: Final) -> bool:
        return any(self._dominates(other, final) for final in self.found)

    def _dominates(self, one: Final, other: Final) -> bool:
        """Whether one is as good in every objective and better in one; NaN is neither."""
        better = []
        for objective in self.search.optimised:
            sign = 1 if objective.direction == "maximize" else -1
            first, second = (f.retrained.mean(objective.name) for f in (one, other))
            better.append(sign * (first - second))
        return all(gain >= 0 for gain in better) and any(gain > 0 for gain in better)


def choose_finalists(
    search: Search,
    study: optuna.Study,
    top: int | None = None,
    rule: str = "spread",
    within: Mapping[str, float] | None = None,
    numbers: Sequence[int] = (),
) -> list[Record]:
    """The trials of a front that shall be trained in full.

    Args:
        search: The search.
        study: Its study.
        top: How many; three, or as many as there are, by default.
        rule: As in `select`.
        within: As in `select`.
        numbers: As in `select`.

    Raises:
        DescriptionError: There are none, or fewer than were asked for.
    """
    there = front(study)
    if not there:
        raise DescriptionError(
            f"expected complete trials in study {search.name!r}, got none; run it first"
        )
    chosen = select(study, top or min(3, len(there)), rule, within, numbers)
    if not chosen or (top is not None and not numbers and len(chosen) < top):
        kept = " that are good enough" if within else ""
        raise DescriptionError(
            f"expected at least {top or 1} networks on the front{kept}, got {len(chosen)}; ask "
            "for fewer, run more trials, or give the search more objectives"
        )
    return chosen


def run_finals(
    search: Search,
    study: optuna.Study,
    chosen: Sequence[Record],
    recipe: Retraining | None = None,
    references: Mapping[str, Callable[[], nn.Module]] | None = None,
    compare: bool = True,
    further: Further = Further(),  # noqa: B008 (frozen)
    reason: str = "",
    progress: Progress = lambda text: None,
    on_epoch: OnEpoch | None = None,
) -> Finals:
    """Train finalists and baselines by one recipe, test them once, export and register them.

    What is done already is read, so that it goes on where it was stopped.

    Args:
        search: The search.
        study: Its study.
        chosen: Trials of its front.
        recipe: How all of them are trained.
        references: Networks of the user's own to compare with, name -> what makes one.
        compare: Whether baselines are trained too.
        further: What else is made of the best finalist.
        reason: Why the test may be used again for what was tested before.
        progress: Told what is being done.
        on_epoch: As in `Search.run`.

    Raises:
        StudyError: They were trained by another recipe, or on other data; or the test was used.
        DescriptionError: What was asked for does not fit the search.
    """
    recipe = recipe or Retraining()
    folder = _folder(search, study)
    finalists = [of_trial(study, record, search.space) for record in chosen]
    others = baselines(search, chosen, recipe.seeds, references or {}) if compare else []
    spent = totals(study)
    cost = {
        "trials": sum(spent.counts.values()),
        "epochs": spent.epochs,
        "seconds": round(spent.seconds, 1),
    }
    before = {final["name"]: final for final in study.user_attrs.get(FINALS, [])}
    storage = study._storage

    def train(finalist: Finalist, recipe: Retraining) -> Retrained:
        progress(f"training {finalist.name}")
        return recipe(search, finalist, storage, folder / "weights", on_epoch)

    trained = [train(finalist, recipe) for finalist in finalists]
    made = further(search, storage, list(trained), recipe, on_epoch)
    trained += [train(finalist, own) for finalist, own in made]
    trained += [train(finalist, recipe) for finalist in others]
    finals = []
    for retrained in trained:  # the test last: nothing is chosen after it
        name = retrained.finalist.name
        progress(f"testing and exporting {name}")
        finals.append(
            _finish(search, study, retrained, folder, cost, reason, before.get(name, {}))
        )
    result = Finals(search, finals, cost)
    study.set_user_attr(FINALS, result.as_json())
    return result


def _finish(
    search: Search,
    study: optuna.Study,
    retrained: Retrained,
    folder: Path,
    cost: Mapping[str, Any],
    reason: str,
    before: Mapping[str, Any],
) -> Final:
    best = retrained.best
    if best is None or retrained.missing:
        return Final(retrained, {}, notes=["neither tested nor exported: trainings are missing"])
    notes = []
    try:
        retrained = measure(retrained, search, study)
    except MeasurementError as refused:
        notes.append(f"measure it again by the same command on a quiet machine: {refused}")
    has_test = (
        type(retrained.search.data).test_dataloader is not LightningDataModule.test_dataloader
    )
    tested = sealed_test(study, retrained, reason) if has_test else {}
    notes += [] if has_test else ["the data has no test split"]
    finalist = retrained.finalist
    if finalist.role not in OURS:
        return Final(retrained, tested, notes=notes)
    own, forms = folder / _slug(finalist), _exported(before, retrained, folder)
    try:
        forms = forms or export(retrained, best, own)
    except NASError as error:
        notes.append(f"not exported: {error}")
    try:
        register(retrained, best, own, forms, tested, cost)
    except DescriptionError as error:
        notes.append(f"not registered: {error}")
    return Final(retrained, tested, forms, own, notes)


def _exported(before: Mapping[str, Any], retrained: Retrained, folder: Path) -> list[Form]:
    """What these very trainings were exported as, where the files are there."""
    if before.get("trainings") != retrained.trainings:
        return []
    forms = [Form(**form) for form in before["forms"]]
    own = folder / _slug(retrained.finalist)
    return forms if all((own / form.file).is_file() for form in forms) else []


def _folder(search: Search, study: optuna.Study) -> Path:
    beside = folder_of(True, search.name, study._storage)
    assert beside is not None
    return beside.with_suffix(".finalists")


def _slug(finalist: Finalist) -> str:
    return re.sub(r"[^\w.-]", "_", finalist.name)


def _summary(by_seed: Mapping[int, float]) -> dict[str, Any]:
    values = list(by_seed.values())
    return {
        "mean": statistics.fmean(values) if values else None,
        "deviation": statistics.stdev(values) if len(values) > 1 else None,
        "by_seed": {str(seed): value for seed, value in by_seed.items()},
    }


def _once(measured: Mapping[str, Any]) -> dict[str, Any]:
    spread = measured.get("spread")
    return {"mean": measured["value"], "deviation": None, "by_seed": {}, "spread": spread}
