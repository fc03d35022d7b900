"""Which network is next in one study: a new one, or one that is paused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.pareto import Losses, losses, on_front
from optuna_nas.pruners.curve import bare
from optuna_nas.pruners.freeze_thaw import FreezeThaw
from optuna_nas.samplers.genes import Encoder, genes
from optuna_nas.samplers.history import END, Network, history, rungs
from optuna_nas.samplers.improvement import improvement
from optuna_nas.samplers.surrogate import Columns, Forest, Surrogate
from optuna_nas.samplers.virtual import Parent, Proposal, draw, heir, replay

__all__ = ["Known", "Proposer", "generator"]

Known = Mapping[str, Callable[[Any], float] | None]
"""Objective name -> its exact value for what a space returns, without training; None where that
takes too long."""

POOL = 400
"""Networks that are compared for one proposal."""
RANDOM = 1 / 3
"""Share of them that is drawn at random; the rest are children of the best."""
SHORTLIST = 10
"""How many of them are looked at closely."""
LOOKED = "nas:looked"
"""System attribute of a trial: parameters of networks that were looked at before it was proposed,
and what is known of them."""
SAMPLES = 16
"""Samples of what might be true in the closer look."""
USUAL = 90
"""Percentile of the expected losses beyond which a trained objective counts nothing."""
NEW_PER_OLD = 0.5
"""Steps spent on new networks for each spent on taking up paused ones."""
REFIT = 0.02
"""Share of further trials after which the surrogate is fitted anew."""


class Proposer:
    """What the sampler holds of one study; all of it follows from the storage.

    Args:
        space: Draws networks from a trial, or None.
        known: What can be known of a network without training.
        startup: Networks drawn at random first.
        seed: Seed of every choice.
    """

    def __init__(
        self, space: Callable[[Any], Any] | None, known: Known, startup: int, seed: int
    ) -> None:
        self._space = space
        self._known = known
        self._startup = startup
        self._seed = seed
        self._genes: dict[int, tuple[Proposal, dict[str, float]]] = {}
        self._told: dict[int, list[tuple[dict[str, float], dict[int, float]]]] = {}
        self._fitted: tuple[int, list[float], _Fit] | None = None

    def plan(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> tuple[Mapping[str, Any], int | None]:
        """Parameters of a trial, and the number of the paused trial that it continues."""
        rng = generator(self._seed, trial.number)
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        others = [t for t in trials if t.number != trial.number]
        networks = list(history(others, study.directions).values())
        if sum(bool(n.losses) for n in networks) < self._startup:
            return self._at_random(networks, rng), None
        fit = self._fit(study, others, networks)
        paused = [n for n in networks if n.paused]
        view = _View(fit, networks, self._columns(networks, fit.encoder))
        if isinstance(study.pruner, FreezeThaw) and paused:
            if not self._new_is_due(networks, study.pruner.steps):
                chosen = view.most_promising(rng)
                return chosen.params, chosen.number
        return self._new(study, trial, view, rng), None

    def _fit(
        self, study: optuna.Study, trials: Sequence[FrozenTrial], networks: Sequence[Network]
    ) -> _Fit:
        """Fit to the trials that finished first, so that it is not done for every trial."""
        finished = sorted((t for t in trials if t.state.is_finished()), key=_finish)
        used = len(finished) - len(finished) % max(1, int(REFIT * len(finished)))
        levels = rungs(study, networks)
        if self._fitted is None or self._fitted[:2] != (used, levels):
            first = sorted(finished[:used], key=lambda t: t.number)
            learned = list(history(first, study.directions).values())
            described = [self._described(network)[1] for network in learned]
            encoder = Encoder([d for d, n in zip(described, learned, strict=True) if n.losses])
            known = self._is_known(study)
            looked = self._looked(first)
            fit = _Fit(learned, encoder(described), encoder, levels, known, looked, self._seed)
            self._fitted = used, levels, fit
        return self._fitted[2]

    def _is_known(self, study: optuna.Study) -> list[bool]:
        names = [bare(name) for name in study.metric_names or []]
        if unknown := sorted(set(self._known) - set(names)):
            raise DescriptionError(
                f"expected known objectives among {names}, got {unknown}; "
                "name them by study.set_metric_names"
            )
        return [name in self._known for name in names] or [False] * len(study.directions)

    def _new_is_due(self, networks: Sequence[Network], steps: Sequence[int]) -> bool:
        spent = [max((s for s in n.losses if s < END), default=steps[0]) for n in networks]
        old = sum(step for step in spent if step > steps[0])
        new = steps[0] * (len(networks) - self._startup)
        return new < NEW_PER_OLD * (old + max(spent))

    def _at_random(
        self, networks: Sequence[Network], rng: np.random.Generator
    ) -> Mapping[str, Any]:
        if self._space is None:
            return {}
        tried = self._tried(networks)
        for _ in range(POOL):
            proposal = draw(self._space, heir((), 1.0, rng))
            if proposal.identity not in tried:
                break
        return proposal.params

    def _new(
        self, study: optuna.Study, trial: FrozenTrial, view: _View, rng: np.random.Generator
    ) -> Mapping[str, Any]:
        tried = self._tried(view.networks)
        pool = self._pool(view.best(), tried, rng)
        if not pool:
            return self._at_random(view.networks, rng)
        columns = view.fit.encoder([genes(proposal) for proposal in pool])
        told = view.fit.surrogate.proposed(columns, 1, rng)[0]
        worth = view.gain(told) * view.fit.feasible(columns)
        # Where nothing adds anything, any is as good as another.
        order = np.lexsort((rng.random(len(pool)), -worth))[:SHORTLIST]
        close = view.fit.surrogate.proposed(columns[order], SAMPLES, rng)
        exact = [self._exact(study, pool[i]) for i in order]
        if any(exact):
            params = [dict(pool[i].params) for i in order]
            told = [list(row.items()) for row in exact]
            study._storage.set_trial_system_attr(trial._trial_id, LOOKED, [params, told])
        for row, losses_told in zip(close.swapaxes(0, 1), exact, strict=True):
            for m, loss in losses_told.items():
                row[:, m] = loss
        gains = np.mean([view.gain(sample) for sample in close], axis=0)
        best = int(np.argmax(gains * view.fit.feasible(columns[order])))
        chosen: Proposal = pool[int(order[best])]
        return chosen.params

    def _exact(self, study: optuna.Study, proposal: Proposal) -> dict[int, float]:
        """Place of an objective -> its exact loss, for those that can be told."""
        found = {}
        for m, name in enumerate(study.metric_names or []):
            tell = self._known.get(bare(name))
            if tell is not None:
                value = float(tell(proposal.drawn))
                found[m] = float(losses([[value]], [study.directions[m]])[0, 0])
        return found

    def _looked(
        self, trials: Sequence[FrozenTrial]
    ) -> list[tuple[dict[str, float], dict[int, float]]]:
        """Genes of networks that were looked at but not trained, and the losses told of them."""
        found = []
        for trial in trials:
            if self._space is None or LOOKED not in trial.system_attrs:
                continue
            if trial.number not in self._told:
                params, told = trial.system_attrs[LOOKED]
                drawn = [genes(replay(self._space, Proposal(p, {}))) for p in params]
                self._told[trial.number] = list(zip(drawn, map(dict, told), strict=True))
            found += self._told[trial.number]
        return found

    def _pool(
        self, parents: Sequence[Network], tried: set[Any], rng: np.random.Generator
    ) -> list[Proposal]:
        pool: dict[Any, Proposal] = {}
        for number in range(POOL):
            chosen: list[Parent] = []
            if parents and number >= RANDOM * POOL:
                count = 1 + int(rng.random() < 0.5)
                chosen = [parents[int(rng.random() * len(parents))] for _ in range(count)]
            proposal = self._child(chosen, rng)
            if proposal.identity not in tried:
                pool.setdefault(proposal.identity, proposal)
        return list(pool.values())

    def _child(self, parents: Sequence[Parent], rng: np.random.Generator) -> Proposal:
        free = sum(not d.single() for p in parents for d in p.distributions.values())
        values = heir(parents, min(0.5, 2 * len(parents) / max(free, 1)), rng)
        if self._space is not None:
            return draw(self._space, values)
        # Without a space the child has the parameters of one parent, or of any network.
        known = parents or [p for p, _ in self._genes.values()]
        pattern = known[int(rng.random() * len(known))]
        params = {name: values(name, d) for name, d in pattern.distributions.items()}
        return Proposal(params, pattern.distributions)

    def _described(self, network: Network) -> tuple[Proposal, dict[str, float]]:
        """What a trial trained, and its genes; computed once where it cannot change any more."""
        root = network.number
        if root in self._genes:
            return self._genes[root]
        proposal = Proposal(network.params, network.distributions)
        if self._space is not None:
            try:
                proposal = replay(self._space, network)
            except SpaceError:  # a running trial that has not drawn everything, or enqueued oddly
                pass
        described = proposal, genes(proposal)
        if network.state.is_finished():
            self._genes[root] = described
        return described

    def _tried(self, networks: Sequence[Network]) -> set[Any]:
        return {self._described(network)[0].identity for network in networks}

    def _columns(self, networks: Sequence[Network], encoder: Encoder) -> Columns:
        return encoder([self._described(network)[1] for network in networks])


class _Fit:
    """Models fitted to networks."""

    def __init__(
        self,
        networks: Sequence[Network],
        columns: Columns,
        encoder: Encoder,
        levels: Sequence[float],
        known: Sequence[bool],
        looked: Sequence[tuple[dict[str, float], dict[int, float]]],
        seed: int,
    ) -> None:
        self.encoder = encoder
        self.levels = levels
        self.known = known
        used = [i for i, network in enumerate(networks) if network.losses]
        seen = self.seen([networks[i] for i in used])
        told = np.full((len(looked), 1, len(known)), np.nan)
        for row, (_, exact) in zip(told, looked, strict=True):
            row[:, list(exact)] = list(exact.values())
        columns_told = encoder([drawn for drawn, _ in looked]) if looked else columns[:0]
        self.surrogate = Surrogate(columns[used], seen, known, seed, columns_told, told[:, 0])
        capped = [i for i, network in enumerate(networks) if network.violation is not None]
        violations = np.array([networks[i].violation for i in capped])
        self._violation = None
        if len(violations) and violations.min() <= 0 < violations.max():
            self._violation = Forest(columns[capped], violations, seed)

    def seen(self, networks: Sequence[Network]) -> Losses:
        """Losses at each rung and at the end (N, L, M), NaN where they were not seen."""
        seen = np.full((len(networks), len(self.levels), len(self.known)), np.nan)
        for row, network in zip(seen, networks, strict=True):
            below = -math.inf
            for place, level in zip(row, self.levels, strict=True):
                steps = [s for s in network.losses if below < s <= level]
                if steps and (level < END or END in network.losses):
                    place[:] = network.losses[max(steps)]
                below = level
        return seen

    def feasible(self, columns: Columns) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Probability that networks keep every cap (K,)."""
        if self._violation is None:
            return np.ones(len(columns))
        share: np.ndarray[Any, np.dtype[np.float64]] = (self._violation(columns) <= 0).mean(axis=0)
        return share


class _View:
    """The networks of a study with what they are expected to end with."""

    def __init__(self, fit: _Fit, networks: Sequence[Network], columns: Columns) -> None:
        self.fit = fit
        self.networks = networks
        self._columns = columns
        self._seen = fit.seen(networks)
        self._ends = fit.surrogate.expected(columns, self._seen)
        kept = np.array([n.violation is None or n.violation <= 0 for n in networks])
        self._counts = kept if kept.any() else ~kept
        ends = self._ends[self._counts]
        usual, worst = np.percentile(ends, (USUAL, 100), axis=0)
        edge = worst + 0.05 * (worst - ends.min(axis=0))
        self._reference = np.where(fit.known, edge, usual)

    def gain(self, points: Losses) -> Losses:
        """What points (K, M) would add to all networks at their expected ends (K,)."""
        return improvement(self._ends[self._counts], points, self._reference)

    def best(self) -> list[Network]:
        """The front of the expected ends."""
        places = np.flatnonzero(self._counts)
        return [self.networks[i] for i in places[on_front(self._ends[places])]]

    def most_promising(self, rng: np.random.Generator) -> Network:
        """The paused network that may add most to those trained to the end, or on their way."""
        sampled = self.fit.surrogate.expected(self._columns, self._seen, rng)
        paused = np.array([network.paused for network in self.networks])
        ended = ~np.isnan(self._seen[:, -1]).any(axis=1)
        going_on = np.array([not n.state.is_finished() and bool(n.losses) for n in self.networks])
        front = self._ends[(ended | going_on) & self._counts]
        gains = improvement(front, sampled[paused], self._reference)
        if gains.max() <= 0:  # none adds anything: the one nearest to the best of all
            gains = -sampled[paused] @ (1 / np.maximum(np.ptp(self._ends, axis=0), 1e-12))
        return [n for n in self.networks if n.paused][int(np.argmax(gains))]


def generator(*seeds: int) -> np.random.Generator:
    """A generator that follows from numbers alone."""
    return np.random.default_rng(np.random.SeedSequence(seeds))


def _finish(trial: FrozenTrial) -> tuple[float, int]:
    ended = trial.datetime_complete
    return (ended.timestamp() if ended else 0.0), trial.number
