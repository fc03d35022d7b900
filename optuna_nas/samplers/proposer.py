"""Which network is next in one study: a new one, or one that is paused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from optuna_nas.architecture import Architecture
from optuna_nas.exceptions import DescriptionError
from optuna_nas.pareto import losses
from optuna_nas.pruners.curve import bare
from optuna_nas.pruners.freeze_thaw import THROUGH, FreezeThaw
from optuna_nas.samplers.division import first_networks, new_is_due, share_through
from optuna_nas.samplers.genes import Encoder, genes
from optuna_nas.samplers.history import END, Network, history, rungs
from optuna_nas.samplers.outlook import Fit, Looked, Outlook
from optuna_nas.samplers.pool import Pool
from optuna_nas.samplers.proposing import Tried
from optuna_nas.samplers.screen import Learner, Screen
from optuna_nas.samplers.uniform import generator, uniform
from optuna_nas.samplers.virtual import Proposal, draw, heir, replay

__all__ = ["Known", "Proposer"]

Known = Mapping[str, Callable[[Any], float] | Learner | None]
"""Objective name -> its exact value for what a space returns, without training; where that takes
too long, as NaN says of one network, what learns it from trials, or None."""

POOL = 200
"""Networks that are drawn for one proposal, and as many again close to the best of them."""
BUILT = 20
"""The same where the space builds a module for each, which takes milliseconds."""
CLIMBS = 4
"""Rounds in which the latter are drawn."""
CLIMBING = 8
"""Networks, the best so far, that they differ from in one parameter."""
RANDOM = 1 / 3
"""Share of them that is drawn at random; the rest are children of the best."""
TYPICAL = 100
"""Networks drawn at random that show what is usual in a space."""
SCREENED = 60
"""Networks, the most promising, of which a learner predicts an objective."""
UNTIL = 30
"""Measured networks from which on a line through the genes is taken to tell as much as a learner:
on NAS-Bench-201 it tells far less of ten of them, and as much of forty."""
SHORTLIST = 10
"""How many of them are looked at closely."""
FORMS = 24
"""Neighbours of a proposed network that are drawn to find other ways to write it."""
LOOKED = "nas:looked"
"""System attribute of a trial: parameters of networks that were looked at before it was proposed,
and what is known of them."""
REFIT = 0.02
"""Share of further trials after which the surrogate is fitted anew."""


class Proposer(Tried):
    """What the sampler holds of one study; all of it follows from the storage.

    Args:
        space: Draws networks from a trial, or None.
        known: What can be known of a network without training.
        startup: Networks drawn at random first, at most.
        seed: Seed of every choice.
    """

    def __init__(
        self, space: Callable[[Any], Any] | None, known: Known, startup: int, seed: int
    ) -> None:
        self._known = known
        self._tellers = {name: tell for name, tell in known.items() if callable(tell)}
        self._learners = {n: one for n, one in known.items() if isinstance(one, Learner)}
        self._startup = startup
        self._seed = seed
        super().__init__(space)

    def forget(self) -> None:
        """Begin anew."""
        super().forget()
        self._typical: list[Mapping[str, float]] = []
        self._told: dict[int, list[Looked]] = {}
        self._fitted: dict[bool, tuple[int, list[float], Fit]] = {}
        self._screen: tuple[int, Screen] | None = None
        self._graphs: dict[int, Any] = {}

    def features(self, proposal: Proposal) -> Mapping[str, float]:
        """The genes of a network."""
        return genes(proposal)

    def next(self, study: optuna.Study, trial: FrozenTrial) -> Proposal | Network:
        """A new network for a trial, or a paused one to be taken up again."""
        rng = generator(self._seed, trial.number)
        networks = list(self.networks.values())
        learned = self._is_known(study).count(False)
        start = first_networks(study.pruner, self._startup, learned)
        if sum(network.seen for network in networks) < start:
            return self._cheapest(study, trial, self.at_random(rng), [], rng)
        outlook = self._outlook(study, networks)
        pruner = study.pruner
        if not isinstance(pruner, FreezeThaw):
            return self._new(study, trial, outlook, rng)
        told = outlook.fit.surrogate.told
        through = rng.random() < share_through(pruner, told)
        paused = any(network.paused for network in networks)
        if through or not paused or new_is_due(networks, pruner, start, told):
            seen = self._outlook(study, networks, through=True) if through else outlook
            new = self._new(study, trial, seen, rng)
            if through:
                study._storage.set_trial_system_attr(trial._trial_id, THROUGH, True)
            if new not in self or not paused:
                return new
        return outlook.most_promising(rng)

    def _outlook(
        self, study: optuna.Study, networks: Sequence[Network], through: bool = False
    ) -> Outlook:
        """What the networks are expected to end with; or as if no rungs had ever been seen."""
        if through:
            networks = [network for network in networks if not network.paused]
        fit = self._fit(study, networks, through)
        return Outlook(fit, networks, fit.encoder(list(map(self.features_of, networks))))

    def _fit(self, study: optuna.Study, networks: Sequence[Network], through: bool) -> Fit:
        """Fit to the trials that finished first, so that it is not done for every trial."""
        first = self._first_finished()
        used, levels = len(first), [END] if through else rungs(study.pruner, networks)
        if self._fitted.get(through, ())[:2] != (used, levels):
            learned = list(history(first, study.directions).values())
            if through:
                learned = [network for network in learned if not network.paused]
            self._fitted[through] = used, levels, self._fit_to(study, learned, first, levels)
        return self._fitted[through][2]

    def _first_finished(self) -> list[FrozenTrial]:
        """The trials that models are fitted to, in the order of their numbers."""
        finished = sorted((t for t in self.trials if t.state.is_finished()), key=_finish)
        used = len(finished) - len(finished) % max(1, int(REFIT * len(finished)))
        return sorted(finished[:used], key=lambda t: t.number)

    def _screened(
        self, study: optuna.Study, pool: Pool, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Places of the networks that would add most, by what learners say of the best."""
        if not self._learners:
            return pool.best(SHORTLIST, rng)
        first = self._first_finished()
        measured = [n for n in history(first, study.directions).values() if n.losses]
        if len(measured) >= UNTIL:
            return pool.best(SHORTLIST, rng)
        if self._screen is None or self._screen[0] != len(first):
            graphs = list(map(self._graph, measured))
            self._screen = len(first), Screen(self._learners, study, measured, graphs)
        return pool.screened(self._screen[1], SCREENED, rng)[:SHORTLIST]

    def _graph(self, network: Network) -> Any:
        """What the space returned for a network."""
        if network.number not in self._graphs:
            self._graphs[network.number] = self.again(network).drawn
        return self._graphs[network.number]

    def _fit_to(
        self,
        study: optuna.Study,
        networks: Sequence[Network],
        trials: Sequence[FrozenTrial],
        levels: Sequence[float],
    ) -> Fit:
        described = list(map(self.features_of, networks))
        encoder = Encoder([d for d, n in zip(described, networks, strict=True) if n.losses])
        known, looked = self._is_known(study), self._looked(trials)
        columns, random = encoder(described), self._random(described)
        return Fit(networks, columns, encoder, levels, known, random, looked, self._seed)

    def _random(self, begun: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
        """Genes of networks drawn at random, the same at every call; the first without a space."""
        if self.space is None:
            return begun[: self._startup]
        if not self._typical:
            rng = generator(self._seed)
            drawn = [draw(self.space, heir((), 1.0, rng)) for _ in range(TYPICAL)]
            self._typical = [genes(proposal) for proposal in drawn]
        return self._typical

    def _is_known(self, study: optuna.Study) -> list[bool]:
        names = [bare(name) for name in study.metric_names or []]
        if unknown := sorted(set(self._known) - set(names)):
            raise DescriptionError(
                f"expected known objectives among {names}, got {unknown}; "
                "name them by study.set_metric_names"
            )
        return [name in self._known for name in names] or [False] * len(study.directions)

    def _new(
        self, study: optuna.Study, trial: FrozenTrial, outlook: Outlook, rng: np.random.Generator
    ) -> Proposal:
        pool = Pool(self, outlook, belief=int(rng.integers(2**32)))
        pool.add(self._drawn(outlook.best(), rng))
        if not pool.proposals:
            return self.at_random(rng)
        for _ in range(CLIMBS):
            tops = [pool.proposals[place] for place in pool.best(CLIMBING, rng)]
            pool.add(self._neighbour(tops, rng) for _ in range(self._size // CLIMBS))
        shortlist = self._screened(study, pool, rng)
        looks = [(place, self._exact(study, pool.proposals[place])) for place in shortlist]
        for place, told in looks:
            pool.tell(place, told)
        worth = pool.worth()[shortlist]
        chosen = pool.proposals[int(shortlist[worth.argmax()])]
        looked = [(pool.proposals[place], told) for place, told in looks if told]
        return self._cheapest(study, trial, chosen, looked, rng)

    def _cheapest(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        proposal: Proposal,
        looked: list[tuple[Proposal, dict[int, float]]],
        rng: np.random.Generator,
    ) -> Proposal:
        """The cheapest of several ways to write a network, by what is known without training.

        An equal network is never trained again, so that the first form to be trained is the one
        that counts. What was looked at for the trial is kept in its attributes.
        """
        forms = self._forms(proposal, rng)
        if len(forms) > 1:
            looked = looked + [(form, self._exact(study, form)) for form in forms]
            told = [look for look in looked[-len(forms) :] if look[1]]
            proposal = min(told, key=lambda look: list(look[1].values()), default=(proposal,))[0]
        if looked:
            params = [dict(form.params) for form, _ in looked]
            known = [list(exact.items()) for _, exact in looked]
            study._storage.set_trial_system_attr(trial._trial_id, LOOKED, [params, known])
            self._told[trial.number] = [(genes(form), exact) for form, exact in looked]
        return proposal

    def _forms(self, proposal: Proposal, rng: np.random.Generator) -> list[Proposal]:
        """A network and others that are equal to it, though written with other parameters."""
        forms = {frozenset(proposal.params.items()): proposal}
        if not isinstance(proposal.drawn, Architecture) or not self._tellers:
            return [proposal]
        for _ in range(FORMS):
            other = self._neighbour(list(forms.values()), rng)
            if other.identity == proposal.identity:
                forms.setdefault(frozenset(other.params.items()), other)
        return list(forms.values())

    def _exact(self, study: optuna.Study, proposal: Proposal) -> dict[int, float]:
        """Place of an objective -> its exact loss, for those that can be told."""
        found = {}
        for m, name in enumerate(study.metric_names or []):
            tell = self._tellers.get(bare(name))
            value = math.nan if tell is None else float(tell(proposal.drawn))
            if math.isfinite(value):
                found[m] = float(losses([[value]], [study.directions[m]])[0, 0])
        return found

    def _looked(self, trials: Sequence[FrozenTrial]) -> list[Looked]:
        """Genes of networks that were looked at but not trained, and the losses told of them."""
        found = []
        for trial in trials:
            if self.space is None or LOOKED not in trial.system_attrs:
                continue
            if trial.number not in self._told:
                params, told = trial.system_attrs[LOOKED]
                drawn = [genes(replay(self.space, Proposal(p, {}))) for p in params]
                self._told[trial.number] = list(zip(drawn, map(dict, told), strict=True))
            found += self._told[trial.number]
        return found

    def _drawn(self, parents: Sequence[Network], rng: np.random.Generator) -> Iterator[Proposal]:
        """Networks of which a third is drawn at random, the others are children."""
        for number in range(self._size):
            chosen: list[Network] = []
            if number >= RANDOM * self._size:
                count = 1 + int(rng.random() < 0.5)
                chosen = [parents[int(rng.random() * len(parents))] for _ in range(count)]
            yield self._child(chosen, rng)

    def _neighbour(self, tops: Sequence[Proposal], rng: np.random.Generator) -> Proposal:
        """One of some networks with one parameter drawn anew."""
        top = tops[int(rng.random() * len(tops))]
        free = [name for name, kind in top.distributions.items() if not kind.single()]
        if not free:
            return top
        name = free[int(rng.random() * len(free))]
        return self.changed(top, {name: uniform(top.distributions[name], rng)}, rng)

    @cached_property
    def _size(self) -> int:
        """Networks to draw for one proposal."""
        if self.space is None:
            return POOL
        drawn = draw(self.space, heir((), 1.0, generator(self._seed))).drawn
        return POOL if isinstance(drawn, Architecture) else BUILT

    def _child(self, parents: Sequence[Network], rng: np.random.Generator) -> Proposal:
        free = sum(not d.single() for p in parents for d in p.distributions.values())
        values = heir(parents, min(0.5, 2 * len(parents) / max(free, 1)), rng)
        if self.space is not None:
            return draw(self.space, values)
        # Without a space the child has the parameters of one parent, or of any network.
        patterns = parents or list(self.networks.values())
        pattern = patterns[int(rng.random() * len(patterns))].distributions
        return Proposal({name: values(name, d) for name, d in pattern.items()}, pattern)


def _finish(trial: FrozenTrial) -> tuple[float, int]:
    ended = trial.datetime_complete
    return (ended.timestamp() if ended else 0.0), trial.number
