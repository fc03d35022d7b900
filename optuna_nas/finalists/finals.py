"""Finalists of a search, from the front to a table: trained anew, compared, tested, exported."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from lightning.pytorch import LightningDataModule
from torch import nn

from optuna_nas.exceptions import DescriptionError, MeasurementError
from optuna_nas.finalists.card import register
from optuna_nas.finalists.comparison import baselines, random_search
from optuna_nas.finalists.cost import search_cost
from optuna_nas.finalists.derived import Further
from optuna_nas.finalists.evaluation import measure
from optuna_nas.finalists.finalist import Finalist, of_trial
from optuna_nas.finalists.forms import FORMS, Form, export
from optuna_nas.finalists.result import Final, Finals
from optuna_nas.finalists.retrained import Retrained
from optuna_nas.finalists.retraining import Retraining
from optuna_nas.finalists.sealed import sealed_test
from optuna_nas.finalists.select import select
from optuna_nas.reporting import front
from optuna_nas.reporting.finalists import FINALS, OURS, finals
from optuna_nas.reporting.inheritance import keep
from optuna_nas.study import Search
from optuna_nas.study.folder import folder_of
from optuna_nas.study.record import SUPERNET, Record
from optuna_nas.study.training import OnEpoch

__all__ = ["choose_finalists", "run_finals"]

UNFINISHED = "neither tested nor exported: trainings are missing"

Progress = Callable[[str], None]


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
    references: Mapping[str, nn.Module | Callable[[], nn.Module]] | None = None,
    compare: bool = True,
    against_random: bool = False,
    further: Further | None = None,
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
        references: Networks of the user's own to compare with, name -> network, such as a
            pretrained one, or what makes one.
        compare: Whether baselines are trained too.
        against_random: Whether random search of the same cost is run, and its best compared.
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
    further = further or Further()
    further.check(search, finalists)
    others = baselines(search, chosen, recipe.seeds, references or {}) if compare else []
    if against_random:
        progress("random search of the same cost")
        others = [*random_search(search, study, on_epoch=on_epoch), *others]
    before = {final["name"]: final for final in finals(study)}
    storage = study._storage

    def train(finalist: Finalist, recipe: Retraining) -> Retrained:
        progress(f"training {finalist.name}")
        return recipe(search, finalist, storage, folder / "weights", on_epoch)

    trained = [train(finalist, recipe) for finalist in finalists]
    made = further(search, storage, list(trained), recipe, on_epoch)
    trained += [train(finalist, own) for finalist, own in made]
    trained += [train(finalist, recipe) for finalist in others]
    ended = []
    for retrained in trained:  # the test last: nothing is chosen after it
        name = retrained.finalist.name
        progress(f"testing and exporting {name}")
        ended.append(_finish(search, study, retrained, folder, reason, before.get(name, {})))
    result = Finals(search, study, ended)
    study.set_user_attr(FINALS, result.as_json())
    if SUPERNET in study.user_attrs:
        keep(study, result.inherited(f"{search.name}@{recipe.label}"))
    return result


def _finish(
    search: Search,
    study: optuna.Study,
    retrained: Retrained,
    folder: Path,
    reason: str,
    before: Mapping[str, Any],
) -> Final:
    cost = search_cost(study._storage, retrained.finalist.studies)
    best = retrained.best
    if best is None or retrained.missing:
        return Final(retrained, {}, notes=[UNFINISHED], cost=cost)
    notes = []
    try:
        retrained = measure(retrained, search, study)
    except MeasurementError as error:
        notes.append(f"measure it again by the same command on a quiet machine: {error}")
    has_test = _has_test(retrained.search.data)
    tested = sealed_test(study, retrained, reason) if has_test else {}
    notes += [] if has_test else ["the data has no test split"]
    finalist = retrained.finalist
    if finalist.role not in OURS:
        return Final(retrained, tested, notes=notes, cost=cost)
    own, forms = folder / _slug(finalist), _exported(before, retrained, folder)
    if not forms:
        forms, refused = export(retrained, best, own)
        notes += refused
    register(retrained, best, own, forms, tested, cost)
    return Final(retrained, tested, forms, own, notes, cost)


def _has_test(data: LightningDataModule) -> bool:
    """Whether there is a test split, as far as data says without being set up."""
    sizes = getattr(data, "split_sizes", {})
    own = type(data).test_dataloader is not LightningDataModule.test_dataloader
    return own and sizes.get("test") != 0


def _exported(before: Mapping[str, Any], retrained: Retrained, folder: Path) -> list[Form]:
    """What these very trainings were exported as, where all of the files are there."""
    if before.get("trainings") != retrained.trainings:
        return []
    # Earlier versions kept an accuracy instead of values: such forms are made anew.
    forms = [Form(**form) for form in before["forms"] if "values" in form]
    own = folder / _slug(retrained.finalist)
    there = len(forms) == FORMS and all((own / form.file).is_file() for form in forms)
    return forms if there else []


def _folder(search: Search, study: optuna.Study) -> Path:
    beside = folder_of(True, search.name, study._storage)
    assert beside is not None
    return beside.with_suffix(".finalists")


def _slug(finalist: Finalist) -> str:
    return re.sub(r"[^\w.-]", "_", finalist.name)
