"""Reinforcement learning: a recurrent controller that learns to draw good networks."""

from __future__ import annotations

import copy
import math
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.exceptions import DescriptionError
from optuna_nas.samplers.controller import Controller
from optuna_nas.samplers.history import Network
from optuna_nas.samplers.proposing import (
    ProposingSampler,
    Space,
    Tried,
    check_least,
    level,
)
from optuna_nas.samplers.uniform import generator
from optuna_nas.samplers.virtual import Draw, Proposal, draw

__all__ = ["Reinforce"]

DRAWS = 100
"""Networks drawn from the controller in search of one that was not tried."""
PREFERENCES = 8
"""Weightings of the objectives by which a network is judged; it was drawn by the first."""
HOTTEST = 5.0
"""Temperature at which the last of them is drawn."""
KEPT = 32
"""States of the controller that are kept, for trials that end after later ones."""


_Steps = Sequence[tuple[str, BaseDistribution, Any]]
"""Name, distribution and value of each parameter, in the order in which they were asked for."""
_Worth = tuple[tuple[int, float], float]
"""Level of a network, and its loss; smaller is better."""


class Reinforce(ProposingSampler["_Learned"]):
    """A controller draws networks choice by choice, and learns from how good they are (REINFORCE).

    Each trial has weights of its own for the objectives, which the controller is told, so that it
    learns the whole front. A network's reward is the worst of its weighted ranks among all so
    far; the baseline is the mean reward of the latest networks under the same weights. It is
    judged by a few other weights as well, and with each network the best so far under these
    weights are learned again, which takes far fewer networks (priority queue training).
    What was trained to the end ranks before what was pruned, that before what broke a constraint.
    Finished trials are replayed in the order of their numbers, so that every choice is a function
    of the seed, the trial's number and the trials in storage.

    Args:
        space: What the objective function draws networks by. Without one, the controller draws
            each parameter when it is asked for, and may draw a network again.
        learning_rate: Learning rate of the controller.
        baseline: Latest networks whose mean reward is the baseline.
        seed: Seed of every choice; None draws one when the sampler is made.

    Raises:
        DescriptionError: An argument is out of its range.

    Source: Zoph and Le 2017, arXiv:1611.01578; Williams 1992, doi:10.1007/BF00992696; a
    controller told its preference: Lin et al. 2022, arXiv:2203.15386; priority queue training:
    Abolafia et al. 2018, arXiv:1801.03526.
    """

    def __init__(
        self,
        space: Space | None = None,
        learning_rate: float = 0.02,
        baseline: int = 20,
        seed: int | None = None,
    ) -> None:
        if not 0 < learning_rate < math.inf:
            raise DescriptionError(f"expected a learning_rate above 0, got {learning_rate!r}")
        check_least("baseline", baseline, 1)
        self._rate = learning_rate
        self._baseline = baseline
        super().__init__(space, seed)

    def propose(self, tried: _Learned, study: optuna.Study, trial: FrozenTrial) -> Proposal:
        """A new network drawn by the controller."""
        weights = self._weights(study, trial.number)[0]
        controller = tried.learn(lambda number: self._weights(study, number))
        rng = generator(self._seed, trial.number)
        if self.space is None:
            tried.walks[trial.number] = controller.walk(weights, rng)
            return Proposal({}, {})
        heat = np.geomspace(1.0, HOTTEST, DRAWS).tolist()
        drawn = (draw(self.space, controller.walk(weights, rng, t)) for t in heat)
        found = tried.first_new(drawn)
        return found or tried.at_random(rng)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The proposed network's value, or what the controller draws now."""
        walk = self.held(study).walks.get(trial.number)
        if walk is not None:
            return walk(param_name, param_distribution)
        return super().sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Forget the plan of a trial that ends."""
        self.held(study).walks.pop(trial.number, None)
        super().after_trial(study, trial, state, values)

    def begin(self, study: optuna.Study) -> _Learned:
        """The networks of a study, and a controller that has learned nothing."""
        objectives = len(study.directions)
        lesson = _Lesson(objectives, self._rate, self._baseline, self._seed)
        return _Learned(self.space, lesson)

    def _weights(self, study: optuna.Study, number: int) -> NDArray[np.float64]:
        """Weights of the objectives: those of a trial, and others that it is judged by (W, M)."""
        even = [1.0] * len(study.directions)
        return generator(self._seed, number, "weights").dirichlet(even, PREFERENCES)


class _Lesson:
    """A controller, and what it has learned from."""

    def __init__(self, objectives: int, rate: float, baseline: int, seed: int) -> None:
        self.controller = Controller(objectives, rate, seed)
        self._baseline = baseline
        self._seen: list[tuple[_Steps, list[_Worth]]] = []
        self._ordered: list[list[_Worth]] = [[] for _ in range(objectives)]

    def __copy__(self) -> _Lesson:
        other = _Lesson.__new__(_Lesson)
        other.__dict__.update(self.__dict__)
        other.controller = copy.deepcopy(self.controller)
        other._seen = list(self._seen)
        other._ordered = [list(worths) for worths in self._ordered]
        return other

    def add(self, network: Network, steps: _Steps, weights: NDArray[np.float64]) -> None:
        """Learn from a network, and again from the best so far.

        Args:
            network: The network.
            steps: Its parameters, in the order in which they were asked for.
            weights: Weights of the objectives by which it is judged (W, M).
        """
        unknown = (math.inf,) * len(self._ordered)
        known = network.losses[max(network.losses)] if network.losses else unknown
        worths = [(level(network), loss) for loss in known]
        self._seen.append((steps, worths))
        for ordered, worth in zip(self._ordered, worths, strict=True):
            insort(ordered, worth)
        if len(self._seen) > 1:
            rewards = _rewards(self._ranks(), weights)
            usual = rewards[-1 - self._baseline : -1].mean(axis=0)
            self.controller.learn(steps, weights, rewards[-1] - usual)
            for best in dict.fromkeys(rewards.argmax(axis=0).tolist()):
                gained = np.maximum(rewards[best] - usual, 0.0)
                self.controller.learn(self._seen[best][0], weights, gained)

    def _ranks(self) -> NDArray[np.float64]:
        """Share of all networks that are better than each, by each objective (N, M)."""
        ranks = [
            [
                bisect_left(o, w) + bisect_right(o, w)
                for o, w in zip(self._ordered, ws, strict=True)
            ]
            for _, ws in self._seen
        ]
        return np.array(ranks) / (2 * len(self._seen))


class _Learned(Tried):
    """The networks of one study, and the controller that has learned from them.

    Args:
        space: Draws networks from a trial, or None.
        untaught: What has learned nothing.

    Attributes:
        walks: Number of a running trial -> what draws its parameters when they are asked for.
    """

    def __init__(self, space: Space | None, untaught: _Lesson) -> None:
        self._untaught = untaught
        super().__init__(space)

    def forget(self) -> None:
        super().forget()
        self.walks: dict[int, Draw] = {}
        self._states: deque[tuple[list[int], _Lesson]] = deque(maxlen=KEPT)

    def learn(self, weights: Callable[[int], NDArray[np.float64]]) -> Controller:
        """Replay what finished since the last call.

        Args:
            weights: Number of a trial -> the weights by which it is judged (W, M).
        """
        judged = sorted(self.judged.values(), key=lambda network: network.number)
        numbers = [network.number for network in judged]
        while self._states and self._states[-1][0] != numbers[: len(self._states[-1][0])]:
            self._states.pop()  # an earlier one has finished since
        learned, lesson = self._states[-1] if self._states else ([], self._untaught)
        if numbers != learned or not self._states:
            lesson = copy.copy(lesson)
            for network in judged[len(learned) :]:
                lesson.add(network, self.steps(network), weights(network.number))
            self._states.append((numbers, lesson))
        return lesson.controller


def _rewards(ranks: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reward of networks (N, M) by several weights (W, M); 1 is best, 0 is worst (N, W)."""
    worst = (ranks[:, None] * weights).max(axis=2)
    rewards: NDArray[np.float64] = 1 - worst / weights.max(axis=1)
    return rewards
