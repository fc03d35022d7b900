"""A study as Optuna's samplers are shown it: each network once, and trained to the end.

trials in storage -> View -> complete trials, which every sampler learns from
"""

from __future__ import annotations

import copy
import math
from collections import ChainMap
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.pareto import losses
from optuna_nas.pruners.curve import PREFIX, bare
from optuna_nas.pruners.lineages import is_among
from optuna_nas.samplers.carrier import Carrier
from optuna_nas.samplers.history import history

__all__ = ["Shown", "Values", "View", "values_of", "whole"]

Values = frozenset[tuple[str, float]]

CONSTRAINTS = "constraints"
"""What the keys of Optuna's system attributes with constraints begin with."""


class View(optuna.Study):
    """A study of which other trials are seen. What is written goes to the study itself.

    Args:
        study: The study.
        show: The trials of the study, and the parameters asked for -> those that are seen.

    Attributes:
        asked: The parameters that the trials are looked at for.
    """

    def __init__(
        self,
        study: optuna.Study,
        show: Callable[[list[FrozenTrial], Collection[str]], list[FrozenTrial]],
    ) -> None:
        vars(self).update(vars(study))  # a new study would be read from storage
        self._study, self._show = study, show
        self.asked: Collection[str] = ()

    def is_of(self, study: optuna.Study) -> bool:
        """Whether it shows this study."""
        return self._study is study

    def stop(self) -> None:
        """Stop the study itself."""
        self._study.stop()

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        trials = self._study._get_trials(deepcopy=False, use_cache=use_cache)
        seen = self._show(trials, self.asked)
        if states is not None:
            seen = [trial for trial in seen if trial.state in states]
        return copy.deepcopy(seen) if deepcopy else seen


class Shown:
    """The finished trials of one study, as a view shows them.

    A pruned trial is shown as complete, its last values carried to the end of training. One that
    was rejected before any has the values that were measured, and otherwise the worst. Trials of
    one network are shown as one, in place of the first, with what the furthest left. One that only
    told again what another had found is shown as pruned with nothing known of it, which samplers
    of complete trials leave out, and TPE takes as a reason to look elsewhere.
    """

    def __init__(self) -> None:
        self._read = 0  # trials up to the first that is not finished
        self._last: FrozenTrial | None = None
        self._carrier: Carrier | None = None
        self._first: dict[int, int] = {}  # number of a finished trial -> first of its network
        self._lineages: dict[int, list[FrozenTrial]] = {}
        self._tried: set[Values] = set()
        self._compared = 0  # trials whose parameters are among those tried
        self._hidden: set[int] = set()
        self._untrained: set[int] = set()
        self._constrained: set[frozenset[str]] = set()
        self._ends: dict[int, tuple[float, ...]] = {}
        self._rows: dict[int, FrozenTrial] = {}
        self._seen: list[FrozenTrial] = []  # of those read, as they are shown

    def trials(
        self, study: optuna.Study, trials: list[FrozenTrial], asked: Collection[str]
    ) -> list[FrozenTrial]:
        """Show all trials of the study.

        Args:
            study: The study.
            trials: Its trials, by number.
            asked: Parameters that an untrained network must have to be shown as complete, since
                it may have been rejected before all were drawn; none are where it is empty.
        """
        self._take_in(study, trials)
        rest = self._as_shown(trials, self._read, len(trials))
        if not self._untrained:
            return self._seen + rest
        cut = {n: trials[n] for n in self._untrained if _is_cut(trials[n], asked)}
        return [cut.get(trial.number, trial) for trial in self._seen + rest]

    def _as_shown(self, trials: Sequence[FrozenTrial], start: int, end: int) -> list[FrozenTrial]:
        # A trial's number is its place: to ask each for it takes longer than all the rest.
        some = enumerate(trials[start:end], start)
        return [self._rows.get(i, trial) for i, trial in some if i not in self._hidden]

    def tried(
        self, study: optuna.Study, trials: list[FrozenTrial], number: int
    ) -> Callable[[Values], bool]:
        """Whether some trial of the study, but that of one number, has certain parameters."""
        self._take_in(study, trials)
        for trial in trials[self._compared : self._read]:
            self._tried.add(values_of(trial.params, trial.distributions))
        self._compared = self._read
        running = [t for t in trials[self._read :] if t.number != number and t.params]
        others = {values_of(t.params, t.distributions) for t in running}
        return lambda values: values in self._tried or values in others

    def _take_in(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        """Read what was finished since, and show anew what hangs on it."""
        if self._last is not None and not is_among(self._last, trials):
            vars(self).update(vars(Shown()))  # the study was deleted and made anew
        ended = (t for t in trials[self._read :] if t.state.is_finished())
        new = [trial for trial in ended if trial.number not in self._first]
        if not new:
            return
        before, self._last = self._read, new[-1]
        while self._read < len(trials) and trials[self._read].state.is_finished():
            self._read += 1
        alike = len(self._constrained) < 2
        changed = {self._add(study, trial) for trial in new}
        if alike and len(self._constrained) > 1:
            changed |= self._lineages.keys()
        ends = self._carrier.losses() if self._carrier else {}
        changed |= {first for first, values in ends.items() if self._ends.get(first) != values}
        self._ends = ends
        for first in changed & self._lineages.keys():
            self._show(study, first)
        if min(changed) < before:
            self._seen = self._as_shown(trials, 0, self._read)
        else:  # what was seen before is seen as it was
            self._seen = self._seen + self._as_shown(trials, before, self._read)

    def _add(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """Add a trial to its network, and return the number that this is known by."""
        first = self._first.get(trial.user_attrs.get("continues", -1), trial.number)
        self._first[trial.number] = first
        if "reused_from" in trial.user_attrs:
            self._rows[trial.number] = _told_again(trial)
            return first
        lineage = self._lineages.setdefault(first, [])
        lineage.append(trial)
        ended = _ended(lineage)
        if not ended:
            return first
        network = history(lineage, study.directions)[lineage[0].number]
        self._carrier = self._carrier or Carrier(len(study.directions))
        self._carrier.add(first, network, _measured(study, ended[-1]))
        self._hidden.update(other.number for other in ended[1:])
        self._constrained.add(frozenset(ended[-1].constraints))
        (self._untrained.discard if network.losses else self._untrained.add)(ended[0].number)
        return first

    def _show(self, study: optuna.Study, first: int) -> None:
        lineage = self._lineages[first]
        ended = _ended(lineage)
        if not ended:
            return
        row = copy.copy(ended[-1])
        row.number, row._trial_id = ended[0].number, ended[0]._trial_id
        row.system_attrs = dict(ChainMap(*(t.system_attrs for t in lineage[::-1])))
        if len(self._constrained) > 1:  # a trial ends at the first cap that it breaks
            worst = max(row.constraints.values(), default=0.0)
            kept = {k: v for k, v in row.system_attrs.items() if not k.startswith(CONSTRAINTS)}
            row.system_attrs = {**kept, f"{CONSTRAINTS}:worst": worst}
        if first in self._ends:
            row.state = TrialState.COMPLETE
            row.values = losses([self._ends[first]], study.directions)[0].tolist()
        self._rows[row.number] = row


def _is_cut(trial: FrozenTrial, asked: Collection[str]) -> bool:
    return not asked or any(name not in trial.params for name in asked)


def values_of(params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> Values:
    """Parameters that have more than one value, equal for equal networks."""
    # Internal values are floats in every storage; external ones may be 1 here and 1.0 there.
    return frozenset(
        (name, distributions[name].to_internal_repr(value))
        for name, value in params.items()
        if not distributions[name].single()
    )


def whole(study: optuna.Study) -> optuna.Study:
    """The study itself, where Optuna's Hyperband hands that of a bracket to the sampler.

    Values at the end of training can be compared between brackets.
    """
    return getattr(study, "_study", study)


def _ended(lineage: list[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in lineage if trial.state != TrialState.FAIL]


def _told_again(trial: FrozenTrial) -> FrozenTrial:
    row = copy.copy(trial)
    row.state, row.values, row.intermediate_values = TrialState.PRUNED, None, {}
    row.system_attrs = {
        key: value
        for key, value in trial.system_attrs.items()
        if not key.startswith((CONSTRAINTS, PREFIX))
    }
    return row


def _measured(study: optuna.Study, trial: FrozenTrial) -> tuple[float, ...]:
    """Losses that a search measured of a trial, NaN for objectives that it did not."""
    found = trial.user_attrs.get("measurements")
    if not found:
        return (math.nan,) * len(study.directions)
    names = map(bare, study.metric_names or [])
    values = [found.get(name, {}).get("value", math.nan) for name in names]
    return tuple(losses([values], study.directions)[0].tolist())
