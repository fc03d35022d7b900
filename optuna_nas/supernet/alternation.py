"""A supernet and the sampler of a search trained in turn.

Source: Pham et al. 2018 (ENAS), arXiv:1802.03268.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

import optuna
from optuna.trial import FrozenTrial, TrialState

from optuna_nas.locks import host_lock
from optuna_nas.samplers.proposing import check_least
from optuna_nas.samplers.uniform import generator
from optuna_nas.study.estimator import Estimation, Estimator
from optuna_nas.supernet.drawing import Candidates, Drawing
from optuna_nas.supernet.drawing.candidates import Params
from optuna_nas.supernet.inherited import Inherited, Scoring
from optuna_nas.supernet.store import SharedWeights
from optuna_nas.supernet.training import Trained

if TYPE_CHECKING:
    from optuna_nas.study.definition import Definition
    from optuna_nas.study.search import Search
    from optuna_nas.study.training import OnEpoch
    from optuna_nas.study.trial import TrialRun

__all__ = ["Alternation", "Params", "Proposed", "rewarding"]

Reward = Callable[[int, int], list[Params]]
"""The networks, from one number up to another, that the sampler proposes and sees the value of."""


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """In each round the sampler proposes networks, and learns from what inherited weights give.

    Then the supernet is trained on: on these networks alone, so that weights are learned for what
    the sampler prefers. Values of different rounds cannot be compared. So they are in a study of
    their own, NAME@rounds, which only guides the sampler; once the supernet is what it will be,
    these networks are the first of the search itself, all with the same weights.

    Args:
        rounds: How many rounds.
        trials: Networks that the sampler proposes in each.
        epochs: Epochs that the supernet is trained for in each.

    Raises:
        DescriptionError: A number below 1.
    """

    rounds: int = 5
    trials: int = 20
    epochs: int = 5

    def __post_init__(self) -> None:
        for name in ("rounds", "trials", "epochs"):
            check_least(name, getattr(self, name), 1)

    def __call__(
        self, reward: Reward, learn: Callable[..., Trained], trained: Trained
    ) -> tuple[Trained, list[Params]]:
        """Train both in turn, and return what it took in all, and which networks were proposed.

        Args:
            reward: As `rewarding` returns it.
            learn: Trains the supernet; takes `epochs` and a `drawing`.
            trained: What the supernet took so far.
        """
        networks: list[Params] = []
        for number in range(self.rounds):
            latest = reward(number * self.trials, (number + 1) * self.trials)
            if not latest:  # caps rejected them all, or the space has no more
                break
            networks += latest
            more = learn(epochs=self.epochs, drawing=Proposed(tuple(latest)))
            epochs, seconds = trained.epochs + more.epochs, trained.seconds + more.seconds
            trained = Trained(epochs, seconds, more.file)
        return trained, networks


@dataclass(frozen=True)
class Proposed(Drawing):
    """Networks out of a list, each as likely.

    Args:
        networks: Their parameters.
    """

    networks: tuple[Params, ...]

    def __call__(
        self, candidates: Candidates, step: int, paths: int, progress: float
    ) -> list[Params]:
        drawn = generator("proposed", candidates.seed, step).integers(
            len(self.networks), size=paths
        )
        return [self.networks[place] for place in drawn]


@dataclass(frozen=True, eq=False)
class _Rewards(Estimator):
    """Values by the weights of a supernet that is still being trained."""

    inherited: Inherited
    pruner: ClassVar[str] = "none"

    @property
    def smoke(self) -> Mapping[str, Any]:
        return {}

    def check(self, search: Definition) -> None:
        """It goes with what `OneShot` goes with."""

    def describe(self, search: Definition) -> dict[str, Any]:
        return {"estimator": {"class": type(self).__qualname__}}

    def prepare(self, search: Search, study: optuna.Study, on_epoch: OnEpoch | None) -> None:
        """Nothing: the weights are there."""

    def begin(self, run: TrialRun, identity: str) -> Estimation:
        return Scoring(run, self.inherited)


def rewarding(search: Search, study: optuna.Study, store: SharedWeights, batches: int) -> Reward:
    """What lets the sampler of a search see networks with the weights that a store has then.

    Args:
        search: The search.
        study: Its study, beside which that of the rounds is.
        store: The weights.
        batches: As in `OneShot`.
    """
    name = f"{search.name}@rounds"

    def reward(start: int, stop: int) -> list[Params]:
        with host_lock(f"rounds-{crc32(name.encode()):x}", float("inf")):
            inner = replace(
                search, name=name, estimator=_Rewards(Inherited(store, batches)), samples=0
            )
            missing = stop - len(_ended(inner.study(study._storage)))
            rounds = inner.run(trials=max(0, missing), storage=study._storage)
        found = _ended(rounds)[start:stop]
        return [trial.params for trial in found if trial.state == TrialState.COMPLETE]

    return reward


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
