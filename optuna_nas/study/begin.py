"""Before the first trial: mark a new study as a search's, or hold a begun one to it."""

from __future__ import annotations

import logging
import warnings
from itertools import islice
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import BaseDistribution

from optuna_nas.exceptions import DescriptionError, MeasurementError, SpaceError, StudyError
from optuna_nas.objectives import Candidate
from optuna_nas.spaces.draws import random_trials
from optuna_nas.study.claim import beginning
from optuna_nas.study.feasibility import caps, look
from optuna_nas.study.fidelity import expect_sizes
from optuna_nas.study.resuming import check_schema, hold_to, mark, staging
from optuna_nas.study.training import check_trainer, seeded

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["check_distributions", "check_objectives", "prepare"]

DRAWN = 16
"""Networks drawn to see whether any of a space takes smaller images."""

_logger = logging.getLogger(__name__)


def prepare(search: Search, study: optuna.Study) -> None:
    """Mark a new study as a search's, or hold a begun one to it; once in a process.

    Raises:
        DescriptionError: The parts of the search do not fit together, a quantity cannot be
            measured here, or no network was seen that keeps its caps, or that takes smaller
            images where the budget has them.
        StudyError: The study belongs to another search, or to another machine, or is being
            measured anew.
    """
    prepared = search.prepared.setdefault(study._storage, {})
    if study._study_id in prepared:
        return
    check_schema(study)
    _check_input_shape(search)
    search.budget.check_images(search.input_shape)
    _check_sizes(search)
    check_trainer(search.trainer)
    _check_settled(study)
    with beginning(study, lambda: "calibrations" in study.user_attrs) as own:
        if own:
            _begin(search, study)
    hold_to(study, search.description, search.on_device)
    known: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        known.update(trial.distributions)
    prepared[study._study_id] = known


def check_distributions(search: Search, trial: optuna.Trial) -> None:
    """Hold a space to one distribution for each parameter name.

    Raises:
        SpaceError: A name had another distribution in an earlier trial.
    """
    known = search.prepared[trial.study._storage][trial.study._study_id]
    for name, distribution in trial.distributions.items():
        if known.setdefault(name, distribution) != distribution:
            raise SpaceError(
                f"expected one distribution for parameter {name!r}, got {distribution} after "
                f"{known[name]}; give a choice that depends on another a name that says so"
            )


def check_objectives(search: Search) -> None:
    """Refuse a search whose quantities cannot all be measured here.

    Raises:
        DescriptionError: One of them cannot, with the reason.
    """
    for objective in search.measured:
        try:
            objective.check()
        except MeasurementError as error:
            raise DescriptionError(f"{objective.name} cannot be measured here: {error}") from error


def _begin(search: Search, study: optuna.Study) -> None:
    wanted = [o.direction.upper() for o in search.optimised]
    if [direction.name for direction in study.directions] != wanted:
        raise StudyError(
            f"expected study {study.study_name!r} to have the directions {wanted}, got "
            f"{[d.name for d in study.directions]}; give the search another name"
        )
    hold_to(study, search.description, search.on_device)
    check_objectives(search)
    shared = {o.name: o.calibrate() for o in search.measured}
    found = {name: value for name, value in shared.items() if value is not None}
    if search.samples and caps(search):
        feasibility = look(search, search.samples, found)
        if not feasibility.reachable:
            raise DescriptionError(feasibility.warning)
        if feasibility.warning:
            _logger.warning(feasibility.warning)
        study.set_user_attr("feasibility", feasibility.as_json())
    mark(study, search.description)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([o.label for o in search.optimised])
    study.set_user_attr("calibrations", found)


def _check_input_shape(search: Search) -> None:
    wanted = getattr(search.space, "input_shape", search.input_shape)
    if tuple(wanted) != search.input_shape:
        raise DescriptionError(
            f"expected a space for inputs of shape {search.input_shape}, which the data has, "
            f"got one for {tuple(wanted)}; give the space input_shape={search.input_shape}"
        )


def _check_sizes(search: Search) -> None:
    """Refuse a fidelity at which none of some networks drawn from the space can be trained."""
    refusal: SpaceError | None = None
    resized = search.budget.resolution or search.budget.width
    for trial in islice(random_trials(search.seed), DRAWN if resized else 0):
        try:
            drawn = seeded(search.space, search.seed, trial)
            network = Candidate(drawn, search.input_shape, search.outputs).skeleton
        except Exception:  # whatever a space of the user's raises: its trial will tell
            return
        try:
            return expect_sizes(network, search.input_shape, search.budget)
        except SpaceError as error:
            refusal = error
    if refusal is not None:
        raise DescriptionError(
            f"none of {DRAWN} networks drawn from the space can be trained at all rungs: {refusal}"
        )


def _check_settled(study: optuna.Study) -> None:
    staged = staging(study.study_name)
    if staged in optuna.get_all_study_names(study._storage):
        raise StudyError(
            f"expected study {study.study_name!r} to be measured on one device, but measuring it "
            "anew was interrupted; finish that by optuna-nas run STUDY.py --remeasure, or by "
            f"search.run(remeasure=True), or drop it by deleting the study {staged!r}"
        )
