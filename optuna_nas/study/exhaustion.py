"""What a search does when its sampler only repeats itself: train what is left, or end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import SpaceError
from optuna_nas.pruners.freeze_thaw import FreezeThaw
from optuna_nas.samplers.enumeration import Enumeration
from optuna_nas.samplers.history import history
from optuna_nas.samplers.virtual import Proposal, draw, heir
from optuna_nas.spaces.joint import training_parameters
from optuna_nas.study.description import network_digest

if TYPE_CHECKING:
    from optuna_nas.study.search import Search

__all__ = ["EXHAUSTED", "Exhaustion"]

EXHAUSTED = "exhausted"
"""User attribute of a study: that, and how, nothing new was found in its space."""
REPEATS = 5
"""Trials in a row, equal to earlier ones, after which the search looks for a new network."""
DRAWS = 200
"""Networks that it draws at random, before it goes through the space one by one."""
MOST = 20_000
"""Networks that it goes through."""
HOPELESS = 100
"""Trials in a row, equal to earlier ones, that end a search whose space it cannot look into."""

_Identity = tuple[str, frozenset[tuple[str, Any]]]
"""Of a network as it is trained: its digest, and its training hyperparameters."""


class Exhaustion:
    """Finds what a repeating sampler does not: a new network, or that there is none.

    A callback for each trial that ends. A new network is put into the queue; where there is none,
    and no paused one either, `said` says so, and so does the study.

    Args:
        search: The search.

    Attributes:
        said: Why the search is at its end; empty while it is not.
    """

    def __init__(self, search: Search) -> None:
        self.said = ""
        self._search = search
        self._repeats = 0
        self._each = Enumeration(search.space)
        self._seen = 0

    def begin(self, study: optuna.Study) -> None:
        """Look again at the space of a study that was exhausted before."""
        if study.user_attrs.get(EXHAUSTED):
            self._look(study)

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Count a repetition, and look for something new after many in a row."""
        self._repeats = self._repeats + 1 if "reused_from" in trial.user_attrs else 0
        if self._repeats >= REPEATS:
            self._look(study)

    def _look(self, study: optuna.Study) -> None:
        trials = study.get_trials(deepcopy=False)
        if any(trial.state == TrialState.WAITING for trial in trials):
            return
        known = ((t.user_attrs.get("digest"), t.params) for t in trials)
        tried = {_identity(digest, params) for digest, params in known if digest is not None}
        found = self._new(tried, len(trials))
        if found is not None:
            said = f"drawn by the search, after {self._repeats} trials equal to earlier ones"
            study.enqueue_trial(dict(found.params), user_attrs={"redrawn": said})
        elif not _take_up(study, trials):
            self.said = self._finding(len(tried))
        if self.said != study.user_attrs.get(EXHAUSTED, ""):
            study.set_user_attr(EXHAUSTED, self.said)

    def _new(self, tried: set[_Identity], trials: int) -> Proposal | None:
        """A network that was not tried: at random, or else the next of all."""
        for found in chain(self._at_random(trials), self._in_turn()):
            if found is None:
                continue
            self._seen += 1
            described = self._search.description["space"]
            digest = network_digest(found.drawn, found.params, described)
            if _identity(digest, found.params) not in tried:
                return found
        return None

    def _at_random(self, trials: int) -> Iterator[Proposal | None]:
        rng = np.random.default_rng((self._search.seed, trials))
        for _ in range(DRAWS):
            found = None
            with suppress(SpaceError):
                found = draw(self._search.space, heir((), 1.0, rng))
            yield found

    def _in_turn(self) -> Iterator[Proposal | None]:
        """Go on where it was left: what was passed has been tried, and stays so."""
        return islice(self._each, MOST)

    def _finding(self, networks: int) -> str:
        """Why the search is at its end, if it is."""
        if not self._seen:  # the space can only be run in a trial
            count = self._repeats
            return f"the last {count} trials were all equal to earlier ones" * (count >= HOPELESS)
        if self._each.ended and not self._each.continuous:
            return f"the space is exhausted: all of its {networks} networks were tried"
        return (
            f"the space seems exhausted: {networks} networks were tried, and of {self._seen} more "
            "draws none was new"
        )


def _identity(digest: str, params: Mapping[str, Any]) -> _Identity:
    return digest, frozenset(training_parameters(params).items())


def _take_up(study: optuna.Study, trials: list[FrozenTrial]) -> bool:
    """Take up a paused network; whether there is one."""
    if isinstance(study.pruner, FreezeThaw):
        for network in history(trials, study.directions).values():
            if network.paused:
                continues = {"continues": network.number}
                study.enqueue_trial(dict(network.params), user_attrs=continues)
                return True
    return False
