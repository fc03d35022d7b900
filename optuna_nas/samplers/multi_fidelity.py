"""Optuna's own samplers, made to learn from what was not trained to the end."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.samplers.uniform import generator, seed_of, uniform
from optuna_nas.samplers.view import Shown, View, values_of, whole
from optuna_nas.samplers.walking import HoldingSampler

__all__ = ["MultiFidelity"]

Params = dict[str, Any]

CHANGES = 100
"""Changes tried for a network that is not known yet, from one parameter to all."""
WARM_STARTS = ("_gprs_cache_list", "_constraints_gprs_cache_list")
"""What Optuna's Gaussian processes keep for the next trial, and a resumed study would not have."""


@dataclass
class _Followed:
    """What is held of one study: its trials, and the generators of those being drawn."""

    shown: Shown = field(default_factory=Shown)
    generators: dict[int, np.random.RandomState] = field(default_factory=dict)


@dataclass(eq=False)
class MultiFidelity(HoldingSampler[_Followed]):
    """A sampler that is shown pruned and rejected trials as complete ones.

    Most of Optuna's samplers read complete trials alone, and so learn nothing from those that a
    pruner stopped or a constraint rejected. Here

    - the last values of a pruned trial are carried to the end of training by a monotone fit over
      the trials that passed the same step and were trained to the end. Until there are five, it
      is worse than complete trials, and ordered by step, then by value. An objective that does not
      change with training keeps its value.
    - a trial that set a positive constraint before any training has the worst values seen.
    - trials that carry on another one (user attribute `continues`) count as one, and those that
      told again what another had found (`reused_from`) only as a reason to look elsewhere.

    In this way it learns with any pruner that stops trials, in studies with one or several
    objectives. Trials that run are seen as they are. Parameters drawn together that a trial has
    already are changed as little as makes them new.

    Args:
        sampler: The sampler; a copy of it is used.
        seed: Makes every choice a function of it, the trial's number and the trials in storage;
            by default the sampler's own seed, where it was given one.

    Raises:
        DescriptionError: The sampler is none, or the seed is negative.
    """

    sampler: BaseSampler
    seed: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.sampler, BaseSampler):
            raise DescriptionError(f"expected an Optuna sampler, got {self.sampler!r}")
        if self.seed is not None and self.seed < 0:
            raise DescriptionError(f"expected a seed of at least 0, got {self.seed}")
        self.sampler = copy.deepcopy(self.sampler)
        self._origin = _origin(self.sampler) if self.seed is None else self.seed
        parts = _parts(self.sampler)
        self._random = [state for part in parts for state in _random_states(part)]
        warm = [(part, kept) for part in parts for kept in WARM_STARTS if hasattr(part, kept)]
        self._warm = warm if self.seeded else []
        super().__init__()

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.sampler})"

    def __getstate__(self) -> dict[str, Any]:
        return {key: kept for key, kept in super().__getstate__().items() if key != "_drawn"}

    def _forget(self) -> None:
        super()._forget()
        self._drawn: tuple[int, View] | None = None  # the trial drawn last, and its view

    @property
    def seeded(self) -> bool:
        """Whether its choices hang on a seed."""
        return self._origin is not None

    def begin(self, study: optuna.Study) -> _Followed:
        """Nothing, until a study is read."""
        return _Followed()

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Let the sampler prepare for a trial."""
        with self._lock:
            self.sampler.before_trial(self._ready(study, trial, ()), trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that the sampler draws together."""
        with self._lock:
            view = self._ready(study, trial, ())
            return self.sampler.infer_relative_search_space(view, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw parameters together, as the sampler does."""
        with self._lock:
            view = self._ready(study, trial, search_space)
            drawn = self.sampler.sample_relative(view, trial, search_space)
            return self._untried(study, trial, drawn, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw one parameter, as the sampler does."""
        with self._lock:
            view = self._ready(study, trial, (param_name,))
            return self.sampler.sample_independent(view, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let the sampler know how a trial ended."""
        self.sampler.after_trial(study, trial, state, values)
        with self._lock:
            self.held(whole(study)).generators.pop(trial.number, None)
            self._drawn = None

    def reseed_rng(self) -> None:
        """Draw another seed, unless choices hang on one."""
        if self._origin is None:
            self.sampler.reseed_rng()

    def _untried(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        drawn: dict[str, Any],
        space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        """What was drawn; if a trial has it already, with the least change that none has.

        A network trained before teaches nothing, so that the sampler would draw it for ever.
        """
        if not drawn:
            return drawn
        study = whole(study)
        trials = study._get_trials(deepcopy=False, use_cache=True)
        tried = self.held(study).shown.tried(study, trials, trial.number)
        if not tried(values_of(drawn, space)):
            return drawn
        rng = np.random.default_rng()
        if self._origin is not None:
            rng = generator(self._origin, trial.number, "untried")
        changed = (_changed(drawn, space, share / CHANGES, rng) for share in range(CHANGES))
        new = [params for params in changed if not tried(values_of(params, space))]
        return min(new, key=lambda params: _apart(params, drawn, space), default=drawn)

    def _ready(self, study: optuna.Study, trial: FrozenTrial, asked: Collection[str]) -> View:
        """Let the sampler draw for a trial what it would whatever else it draws for.

        Returns:
            The study as the sampler is to see it, when parameters are asked for.
        """
        study = whole(study)
        # To begin anew for each parameter would take longer than all the rest.
        number, view = self._drawn or (-1, None)
        if view is None or number != trial.number or not view.is_of(study):
            view = View(study, partial(self._shown, study))
            self._drawn = trial.number, view
            if self._origin is not None:
                self._continue_drawing(study, trial.number, self._origin)
        for sampler, kept in self._warm:
            setattr(sampler, kept, None)
        view.asked = asked
        return view

    def _continue_drawing(self, study: optuna.Study, number: int, origin: int) -> None:
        """Give the sampler the generator of a trial."""
        generators = self.held(study).generators
        if number not in generators:
            generators[number] = np.random.RandomState(np.random.PCG64(seed_of(origin, number)))
        for part in self._random:
            part._rng = generators[number]

    def _shown(
        self, study: optuna.Study, trials: list[FrozenTrial], asked: Collection[str]
    ) -> list[FrozenTrial]:
        return self.held(study).shown.trials(study, trials, asked)


def _changed(
    params: Params, space: Mapping[str, BaseDistribution], share: float, rng: np.random.Generator
) -> Params:
    """A share of the parameters, one at least, drawn anew."""
    count = 1 + int(share * len(params))
    names = rng.choice(sorted(params), count, replace=False).tolist()
    return {**params, **{name: uniform(space[name], rng) for name in names}}


def _apart(one: Params, other: Params, space: Mapping[str, BaseDistribution]) -> float:
    """Sum of the differences, as shares of the ranges; two categories are 1 apart."""
    differ = {name: space[name] for name in one if one[name] != other[name]}
    return sum(
        abs(one[name] - other[name]) / (distribution.high - distribution.low)
        if isinstance(distribution, IntDistribution | FloatDistribution)
        else 1.0
        for name, distribution in differ.items()
    )


def _parts(sampler: BaseSampler) -> list[BaseSampler]:
    """A sampler and those that it consists of."""
    inner = [part for part in vars(sampler).values() if isinstance(part, BaseSampler)]
    return [sampler, *(part for one in inner for part in _parts(one))]


def _random_states(sampler: BaseSampler) -> list[LazyRandomState]:
    return [part for part in vars(sampler).values() if isinstance(part, LazyRandomState)]


def _origin(sampler: BaseSampler) -> int | None:
    """A number that hangs on the seed that a sampler was made with; None where it was not."""
    states = [state._rng for part in _parts(sampler) for state in _random_states(part)]
    keys = [state.get_state(legacy=False)["state"] for state in states if state is not None]
    told = b"".join(key["key"].tobytes() + bytes([key["pos"] % 256]) for key in keys)
    return int(hashlib.sha256(told).hexdigest(), 16) if keys else None
