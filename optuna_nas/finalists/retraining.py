"""Finalist -> a study of its own, in which it is trained in full, once for each seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import Callback, EarlyStopping
from optuna.distributions import IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from optuna_nas.exceptions import DescriptionError, StudyError
from optuna_nas.finalists.callbacks import Averaging, KeepBest
from optuna_nas.finalists.finalist import Finalist
from optuna_nas.finalists.retrained import MEASURED, Retrained, judge
from optuna_nas.finalists.shared import weights_file
from optuna_nas.model.recipe import Recipe
from optuna_nas.objectives import STAGES, Metric, Objective, Parameters, Weighted, resolve
from optuna_nas.spaces import Joint
from optuna_nas.spaces.given import Given
from optuna_nas.study import Budget, Search
from optuna_nas.study.estimator import Estimator
from optuna_nas.study.from_scratch import FromScratch
from optuna_nas.study.hyperparameters import OURS, SEED
from optuna_nas.study.lease import requeue
from optuna_nas.study.record import Record, records
from optuna_nas.study.training import OnEpoch
from optuna_nas.supernet import FineTuned

__all__ = ["PARAMETER", "Retraining", "once", "uncapped"]

LOOK_SECONDS = 1.0
"""How often it is seen whether another process still trains a network."""
PARAMETER = f"training.{SEED}"
SEEDS = IntDistribution(0, 2**31 - 1)


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """The full recipe: every finalist and baseline is trained by it, with the same seeds.

    The search's own recipe, longer, with a schedule that knows its end (recipes of this package
    only; another LightningModule keeps its own), weights averaged over the last steps, and no
    caps. Precision, class weights, label smoothing, augmentation and the like are arguments of
    `module`. Interrupted or killed, it goes on where it was.

    Args:
        epochs: Epochs of a training, or of what the search's budget counts as such; twice the
            search's longest by default.
        seeds: Trainings of each network, with the seeds 0, 1, ...
        schedule: Of the learning rate: cosine, or inverse_square_root.
        average: Decay of the moving average of the weights; None for none.
        patience: Epochs without progress of the first trained objective, after which a training
            ends; None to train to the end. With it, the best epoch is kept.
        keep_best: Whether weights and values are those of the epoch that is best in the first
            trained objective; by default those of the last.
        fine_tune: Whether networks of the space are trained on from the weights that they
            inherited in a one-shot search, instead of from scratch.
        module: Makes the LightningModule from a network; that of the search by default.
        trainer: Further arguments of the Lightning Trainer; they override the search's.
        label: What the studies are called after: with another label, another recipe can be tried
            beside the first.

    Raises:
        DescriptionError: A number out of its range.
    """

    epochs: int | None = None
    seeds: int = 3
    schedule: str = "cosine"
    average: float | None = 0.99
    patience: int | None = None
    keep_best: bool = False
    fine_tune: bool = False
    module: Callable[..., LightningModule] | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)
    label: str = "finalists"

    def __post_init__(self) -> None:
        for name in ("epochs", "seeds", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DescriptionError(f"expected {name} of at least 1, got {name}={value}")
        if self.average is not None and not 0 < self.average < 1:
            raise DescriptionError(f"expected average between 0 and 1, got {self.average}")

    def search(
        self,
        search: Search,
        finalist: Finalist,
        weights: Path,
        estimator: Estimator | None = None,
    ) -> Search:
        """The search whose trials are the trainings of a finalist.

        Args:
            search: The search that found it.
            finalist: The finalist.
            weights: Folder for the weights.
            estimator: From what it is trained; from scratch by default.
        """
        own = {k: v for k, v in finalist.hyperparameters.items() if k not in OURS}
        return Search(
            name=f"{search.name}@{self.label}/{finalist.name}",
            space=Joint(finalist.space, **{SEED: SEEDS}),
            data=search.data_for(finalist.hyperparameters),
            objectives=_kept(search.optimised) or [Parameters()],
            constraints=_kept(search.capped),
            module=self._module(search, own),
            fidelity=self._budget(search.budget),
            sampler="random",
            pruner="none",
            estimator=estimator or FromScratch(),
            trainer=self._trainer(search),
            threads=search.threads,
            checkpoints=search.checkpoints or True,
            weights=weights,
            seed=search.seed,
            samples=0,
        )

    def __call__(
        self,
        search: Search,
        finalist: Finalist,
        storage: BaseStorage,
        weights: Path,
        on_epoch: OnEpoch | None = None,
    ) -> Retrained:
        """Do what is missing of the trainings of a finalist.

        Args:
            search: The search that found it.
            finalist: The finalist.
            storage: Where the study of its trainings is.
            weights: Folder for the weights.
            on_epoch: As in `Search.run`.

        Raises:
            StudyError: It was trained by another recipe, or on other data; says what changed. Or
                there are no weights to inherit.
        """
        inherits = self.fine_tune and isinstance(finalist.space, Given)
        estimator = _inheriting(search, storage) if inherits else None
        own = self.search(search, finalist, weights, estimator)
        try:
            study = own.study(storage)
        except StudyError as error:
            raise StudyError(
                f"{error}; another recipe can be tried beside it under another label "
                "(Retraining(label=...), --label NAME)"
            ) from None
        requeue(study)
        under_way = TrialState.COMPLETE, TrialState.WAITING, TrialState.RUNNING
        begun = {_seed(trial) for trial in study.get_trials(deepcopy=False, states=under_way)}
        for seed in range(self.seeds):
            if seed not in begun:
                study.enqueue_trial({PARAMETER: seed}, user_attrs=_continuing(study, seed))
        while left := study.get_trials(
            deepcopy=False, states=(TrialState.WAITING, TrialState.RUNNING)
        ):
            if any(trial.state == TrialState.WAITING for trial in left):
                own.run(trials=1, storage=storage, on_epoch=on_epoch)
            else:  # another process is at it, or died at its very beginning: that is seen soon
                time.sleep(LOOK_SECONDS)
                requeue(study)
        return self.read(own, finalist, study)

    def read(self, own: Search, finalist: Finalist, study: optuna.Study) -> Retrained:
        """What the trainings of a finalist have come to so far.

        Args:
            own: The search whose trials they are.
            finalist: The finalist.
            study: Its study.
        """
        found: dict[int, Record] = {}
        missing = dict.fromkeys(range(self.seeds), "not trained yet")
        for trial, record in zip(study.get_trials(deepcopy=False), records(study), strict=True):
            seed = _seed(trial)
            if seed not in missing or record.superseded:
                continue
            if trial.state == TrialState.COMPLETE:
                found[seed] = record
            else:
                missing[seed] = record.ended or record.outcome
        left = {seed: why for seed, why in missing.items() if seed not in found}
        measured = study.user_attrs.get(MEASURED, {})
        return Retrained(finalist, own, study, dict(sorted(found.items())), left, measured)

    def _module(self, search: Search, own: Mapping[str, Any]) -> Callable[..., LightningModule]:
        module = self.module or search.module
        made = module.func if isinstance(module, partial) else module
        known = dict(own)
        if isinstance(made, type) and issubclass(made, Recipe):
            known.setdefault("schedule", self.schedule)
        return partial(module, **known) if known else module

    def _budget(self, budget: Budget) -> Budget:
        epochs = self.epochs or 2 * budget.max_epochs
        if budget.length is None:
            return Budget(epochs=epochs)
        if budget.unit == "seconds":
            return Budget(seconds=(budget.length, budget.length * epochs))
        return Budget(steps=(int(budget.length), int(budget.length) * epochs))

    def _trainer(self, search: Search) -> dict[str, Any]:
        arguments = {**search.trainer, **self.trainer}
        given = arguments.get("callbacks") or []
        callbacks: list[Callback] = [given] if isinstance(given, Callback) else [*given]
        if self.average is not None:
            callbacks.append(Averaging(self.average))
        if self.patience is not None or self.keep_best:
            callbacks += self._watching(search.optimised[judge(search)])
        return arguments | {"callbacks": callbacks}

    def _watching(self, objective: Objective) -> list[Callback]:
        """What keeps the best epoch, and ends a training that makes no progress."""
        if not isinstance(objective, Metric):
            raise DescriptionError(
                "expected an objective that is logged while a network trains beside patience or "
                f"keep_best, got {objective.name}; leave them out"
            )
        mode = objective.direction[:3]
        best: list[Callback] = [KeepBest(objective.monitor, mode)]
        if self.patience is None:
            return best
        return [EarlyStopping(objective.monitor, patience=self.patience, mode=mode), *best]


def _inheriting(search: Search, storage: BaseStorage) -> FineTuned:
    study = optuna.load_study(study_name=search.name, storage=storage)
    return FineTuned(weights_file(search, study), search.space)


def uncapped(objective: Objective) -> Objective:
    """An objective without its caps, and without those of its parts."""
    free = replace(objective, max=None, min=None)
    if not isinstance(free, Weighted):
        return free
    return replace(free, linear=_uncapped(free.linear), log=_uncapped(free.log))


def once(objective: Objective) -> bool:
    """Whether it is measured once for all trainings of a network: on a device, untrained."""
    return objective.on_device and objective.stage != STAGES[-1]


def _kept(objectives: Sequence[Objective]) -> list[Objective]:
    return [uncapped(objective) for objective in objectives if not once(objective)]


def _uncapped(terms: Any) -> tuple[tuple[Objective, float], ...]:
    return tuple((uncapped(resolve(part)), weight) for part, weight in terms)


def _continuing(study: optuna.Study, seed: int) -> dict[str, int]:
    """What a training takes up again that was lost so often that nobody else does."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
    lost = [
        t.number for t in ended if _seed(t) == seed and t.user_attrs.get("outcome") != "failed"
    ]
    return {"continues": lost[-1]} if lost else {}


def _seed(trial: optuna.trial.FrozenTrial) -> Any:
    waiting = trial.system_attrs.get("fixed_params", {})
    return trial.params.get(PARAMETER, waiting.get(PARAMETER))
