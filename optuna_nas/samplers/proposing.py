"""What samplers that propose a whole network, new in its study, have in common."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.pareto import on_front
from optuna_nas.pruners.lineages import is_among
from optuna_nas.samplers.history import END, Network, history
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import Parent, Proposal, draw, fits, heir, replay
from optuna_nas.samplers.walking import WalkingSampler

__all__ = ["ProposingSampler", "Tried", "check_least", "front", "level"]

ATTEMPTS = 400
"""Networks that are drawn in search of one that was not tried."""

MOST_CHANGES = 8
"""Parameters in which the last of them differs from its parent."""

Space = Callable[[Any], Any]


class Tried:
    """The networks of one study, as seen by a sampler that proposes others.

    Args:
        space: Draws networks from a trial, or None.

    Attributes:
        trials: All trials of the study.
        networks: Number of a network's first trial -> the network.
        plans: Number of a running trial -> what was proposed for it.
    """

    def __init__(self, space: Space | None) -> None:
        self.space = space
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.trials: Sequence[FrozenTrial] = ()
        self.networks: dict[int, Network] = {}
        self.plans: dict[int, Proposal] = {}
        self._identities: set[Any] = set()
        self._finished: dict[int, _Described] = {}

    def update(
        self, trials: Sequence[FrozenTrial], number: int, directions: Sequence[StudyDirection]
    ) -> None:
        """Read all trials of the study but one, which is to be drawn."""
        known = next((trial for trial in self.trials if trial.state.is_finished()), None)
        if known is not None and not is_among(known, trials):
            self.forget()
        self.trials = trials
        others = [trial for trial in trials if trial.number != number]
        self.networks = history(others, directions)
        self._identities = {self._described(n).identity for n in self.networks.values()}

    def __contains__(self, proposal: Proposal) -> bool:
        return proposal.identity in self._identities

    @property
    def judged(self) -> dict[int, Network]:
        """The networks that finished, and of which anything is known."""
        return {
            number: network
            for number, network in self.networks.items()
            if network.state in (TrialState.COMPLETE, TrialState.PRUNED)
            and (network.losses or _violates(network))
        }

    def first_new(self, proposals: Iterable[Proposal]) -> Proposal | None:
        """The first of some proposals that was not tried; None where all were."""
        return next((p for p in proposals if p not in self), None)

    def features(self, proposal: Proposal) -> Mapping[str, float]:
        """What to keep of a network for `features_of`; nothing, unless a sampler learns by it."""
        return {}

    def features_of(self, network: Network) -> Mapping[str, float]:
        """What `features` told of a network that was tried."""
        return self._described(network).features

    def at_random(self, rng: np.random.Generator) -> Proposal:
        """A network drawn at random, a new one where one is found."""
        if self.space is None:
            return Proposal({}, {})  # drawn when it is asked for
        drawn = [draw(self.space, heir((), 1.0, rng))]
        more = (draw(self.space, heir((), 1.0, rng)) for _ in range(ATTEMPTS))
        return self.first_new(drawn) or self.first_new(more) or drawn[0]

    def mutant(self, parent: Network, rng: np.random.Generator) -> Proposal:
        """A new network that differs in one of them from its parent.

        Where no such network is left, it differs in more. What a change opens up is drawn at
        random.
        """
        free = [name for name, kind in parent.distributions.items() if not kind.single()]

        def mutate(attempt: int) -> Proposal:
            count = min(1 + attempt * MOST_CHANGES // ATTEMPTS, len(free))
            names = rng.choice(free, count, replace=False) if free else ()
            changes = {str(n): uniform(parent.distributions[n], rng) for n in names}
            return self.changed(parent, changes, rng)

        found = self.first_new(mutate(attempt) for attempt in range(ATTEMPTS))
        return found or self.at_random(rng)

    def changed(
        self, parent: Parent, changes: Mapping[str, Any], rng: np.random.Generator
    ) -> Proposal:
        """A network with other values of some parameters.

        Args:
            parent: The network.
            changes: Name -> value.
            rng: For what the changes open up.
        """
        changed = Proposal({**parent.params, **changes}, parent.distributions)
        values = heir([changed], 0.0, rng)
        if self.space is not None:
            return draw(self.space, values)
        drawn = {name: values(name, kind) for name, kind in parent.distributions.items()}
        return Proposal(drawn, parent.distributions)

    def steps(self, network: Network) -> list[tuple[str, BaseDistribution, Any]]:
        """Name, distribution and value of a network's parameters, in the order of the space."""
        found = self._described(network)
        order = found.names if found.names == network.params.keys() else network.params
        return [(name, network.distributions[name], network.params[name]) for name in order]

    def again(self, network: Network) -> Proposal:
        """A network that was tried, as a proposal."""
        if self.space is not None:
            # A running trial may not have drawn everything yet, and an enqueued one is anything.
            with suppress(SpaceError):
                return replay(self.space, network)
        return Proposal(network.params, network.distributions)

    def _described(self, network: Network) -> _Described:
        """What is kept of a network; found once where it cannot change any more."""
        if network.number in self._finished:
            return self._finished[network.number]
        proposal = self.plans.get(network.number)
        if proposal is None or self.space is None:
            proposal = self.again(network)
        names = dict.fromkeys(proposal.params).keys()
        described = _Described(proposal.identity, names, self.features(proposal))
        if network.state.is_finished():
            self._finished[network.number] = described
        return described


class _Described(NamedTuple):
    """What is kept of a network.

    Args:
        identity: Equal for equal networks.
        names: Names of its parameters, in the order in which the space asks for them.
        features: What a sampler learns by.
    """

    identity: Any
    names: KeysView[str]
    features: Mapping[str, float]


T = TypeVar("T", bound=Tried)


class ProposingSampler(WalkingSampler[T]):
    """Decides on all parameters of a network before the space asks for the first.

    Args:
        space: What the objective function draws networks by, or None.
        seed: Seed of every choice; None draws one when the sampler is made.
    """

    def __init__(self, space: Space | None, seed: int | None) -> None:
        if space is not None and not callable(space):
            raise DescriptionError(f"expected a callable space, got {space!r}")
        self.space = space
        self._seed = secrets.randbits(128) if seed is None else seed
        super().__init__()

    @abstractmethod
    def propose(self, tried: T, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """The network for a trial; parameters that it leaves out are drawn at random.

        Args:
            tried: The networks so far.
            study: The study.
            trial: The trial, without parameters yet.
        """

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Decide which network the trial trains, unless it was enqueued."""
        if "fixed_params" in trial.system_attrs or "continues" in trial.user_attrs:
            return
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        with self._lock:
            tried = self.held(study)
            tried.update(trials, trial.number, study.directions)
            tried.plans[trial.number] = self.propose(tried, study, trial)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The proposed network's value; drawn at random where it has none."""
        plan = self.held(study).plans.get(trial.number)
        if plan is not None and param_name in plan.params:
            if fits(plan.params[param_name], param_distribution):
                return plan.params[param_name]
        return uniform(param_distribution, generator(self._seed, trial.number, param_name))

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Forget the plan of a trial that ends."""
        self.held(study).plans.pop(trial.number, None)


def level(network: Network) -> tuple[int, float]:
    """What comes before the losses, smaller is better.

    (0, 0) trained to the end, (1, -step) stopped at that step, (2, violation) infeasible.
    """
    if _violates(network):
        return 2, network.violation or 0.0
    return (0, 0.0) if END in network.losses else (1, -max(network.losses))


def front(networks: Sequence[Network]) -> list[Network]:
    """The networks of the best level that no other of that level dominates.

    So values of different rungs are never compared, and a network that broke a constraint is
    there only where all did.
    """
    best = min(map(level, networks))
    equals = [network for network in networks if level(network) == best]
    if best[0] == 2:
        return equals
    points = np.array([network.losses[max(network.losses)] for network in equals])
    return [network for network, on in zip(equals, on_front(points), strict=True) if on]


def check_least(name: str, value: object, least: int) -> None:
    """Refuse an argument that is no whole number, or too small.

    Raises:
        DescriptionError: It is.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DescriptionError(
            f"expected {name} to be a whole number of at least {least}, got {value!r}"
        )


def _violates(network: Network) -> bool:
    return network.violation is not None and network.violation > 0
